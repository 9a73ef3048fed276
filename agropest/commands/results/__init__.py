"""Commands on stored results and prediction files."""
