"""From a sweep YAML to the list of trials it means. No torch, no ray."""
