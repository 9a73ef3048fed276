"""Rows for the console, CSV, Markdown and LaTeX: computed first, rendered later."""
