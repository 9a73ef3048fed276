"""Early stopping under Ray Tune."""
