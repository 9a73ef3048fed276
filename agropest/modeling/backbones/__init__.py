"""Backbones that Detectron2 lacks, one file each.

A file registers its builder in Detectron2's ``BACKBONE_REGISTRY``; ``agropest.modeling.build`` imports every file here,
and ``MODEL.BACKBONE.NAME`` names the builder.
"""
