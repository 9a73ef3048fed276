"""Variants of other frameworks than Detectron2: a command that trains, and writes COCO results files."""
