"""A trained detector outside its sweep: a model folder, predictions on pictures, exported graphs, its cost. No ray."""

from agropest import detectron2_ready

# Here, because Python runs it before any module of this room imports Detectron2.
detectron2_ready.make_importable()
