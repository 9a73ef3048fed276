"""The connection to Ray, and what Ray Tune calls back."""
