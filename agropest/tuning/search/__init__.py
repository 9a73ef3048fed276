"""Rounds of trials that depend on earlier results: Optuna's suggestions, generations of a population."""
