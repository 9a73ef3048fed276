"""From rows to tables, plots and pages. No torch, no ray."""
