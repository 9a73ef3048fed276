"""Classification losses of the box head, one file each; the file's name is a value of ``MODEL.ROI_BOX_HEAD.CLS_LOSS``.

Shapes: R ROIs of a minibatch, K foreground classes. Labels are in [0, K]; K is background.

A file has
``loss(logits [R, K+1], labels [R], head) -> scalar``   ``head`` is ``cfg.MODEL.ROI_BOX_HEAD``; differentiable
``SCORES``                                              "softmax" over K+1 classes, or "sigmoid" for each of K alone
``initial_bias(head) -> float``                         optional: of the class logits at the start (0 without it)
"""
