"""What a sweep will need: speeds, forecast, packing arithmetic, capacity. No torch, no ray."""
