"""The results folder on object storage: what a machine that is taken away leaves to the next."""
