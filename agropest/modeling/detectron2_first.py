"""Imported first by the modules of this room that import Detectron2: makes that import work."""

from agropest import detectron2_ready

detectron2_ready.make_importable()
