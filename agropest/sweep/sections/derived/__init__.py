"""Variants that follow from other variants of the file: evaluated otherwise, or trained longer."""
