"""Boxes, anchors and proposals as tensors: overlap, matching, draws, suppression."""
