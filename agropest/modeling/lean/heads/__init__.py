"""The lean classes of proposal generators, ROI heads and dense detectors, with their losses."""
