"""What trainings have in common: equal trainings and equal beginnings, as values."""
