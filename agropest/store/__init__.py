"""What trainings and evaluations leave on disk: records, folders, locks, checksums. No torch, no ray."""
