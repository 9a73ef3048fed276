"""COCO annotation files, as exporters write them."""
