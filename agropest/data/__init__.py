"""From a folder somebody gives us to checked COCO JSON per split, and what is in it. No torch, no ray."""
