"""The race: which variants need not be trained further, with the noise of training in it."""
