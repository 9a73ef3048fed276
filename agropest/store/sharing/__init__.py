"""What trials do for each other: trainings that several share, checkpoints that others evaluate."""
