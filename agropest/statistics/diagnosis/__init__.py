"""Descriptions of one detector's boxes: calibration, confusion, curves, error types."""
