"""Trainings of other sweeps that say what a seed does."""
