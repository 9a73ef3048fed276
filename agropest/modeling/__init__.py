"""What Detectron2 lacks: config keys, losses, backbones.

This module and ``config`` import neither torch nor Detectron2: the sweep room reads the added keys from here. The
modules that build models import ``agropest.modeling.detectron2_first`` before anything of Detectron2's.
"""
