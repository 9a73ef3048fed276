"""Trials that train nothing: the evaluation of weights that another trial has trained."""
