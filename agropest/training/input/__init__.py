"""From pictures to batches: a pure function of seed and iteration."""
