"""One trial with Detectron2: batch stream, trainer, evaluation, checkpoints. No ray."""

from agropest import detectron2_ready

# Here, because Python runs it before any module of this room imports Detectron2.
detectron2_ready.make_importable()
