"""What the processes of a training share: parts of a batch, the memory of a card, the sign that they are alive."""
