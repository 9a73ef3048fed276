"""What trials leave on disk, and what can be known from it. No torch, no ray."""
