"""A trial that a command of another framework trains: started, watched, its results files checked and stored."""
