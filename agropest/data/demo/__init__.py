"""The demo's data set, drawn once."""
