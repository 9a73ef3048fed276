"""What the stored evaluations say: ranking, comparison, guards, live progress. No torch, no ray."""
