"""COCO's metrics of one set of boxes, also on resamples of the images."""
