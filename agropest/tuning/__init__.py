"""Ray Tune: which trial runs when and where, and when it ends."""
