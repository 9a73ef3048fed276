"""The layouts of data sets that are read."""
