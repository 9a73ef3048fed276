"""What is done to stored trials on purpose: restart, prune, list, settle losses."""
