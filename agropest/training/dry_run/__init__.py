"""Models and batches built to learn about a trial, and thrown away."""
