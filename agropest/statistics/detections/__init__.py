"""Boxes, ground truth and how they match: what every number of a detector is computed from."""
