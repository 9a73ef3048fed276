"""Everything that shows a running sweep: console, metrics, trackers, rewritten files."""
