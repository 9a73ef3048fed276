"""Commands that prepare an environment."""
