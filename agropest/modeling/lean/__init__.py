"""Detectron2's modules with fewer launches and without host reads, at bit-equal losses, gradients and weights.

Shapes: N images of a batch, G ground-truth boxes of all of them, R anchors of an image, P proposals of all images,
K classes. Rows of a batch lie one after another, image by image.

``conversion.make_lean`` exchanges the class of each module of a built model that is exactly one of Detectron2's, and
whose source is the one that the lean class was written beside (``known``). Everything else stays as it is: subclasses,
other versions, settings that a lean class does not cover. Parameters, buffers, their names and the draws of random
numbers are the same, so checkpoints and signatures are, too. Nothing of Detectron2 itself is changed.

A card waits for the host at every read of a value. What a lean module must know on the host (how many anchors are
positive, how many boxes are left) it asks for once for the whole batch.
"""
