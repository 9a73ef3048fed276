"""Which trained model is meant: the chosen checkpoint, its stored predictions, what it costs to run."""
