"""Other training pictures than the whole training split: a share of it, or another version of the data set's."""
