"""What a training starts from: the file of its initial weights, and what of it fits the model."""
