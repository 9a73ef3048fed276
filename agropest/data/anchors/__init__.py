"""Anchors fitted to the boxes of a data set."""
