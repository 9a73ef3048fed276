"""What trials leave on disk, and what a sweep can say from it. No torch, no ray."""
