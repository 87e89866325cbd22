"""Harmony distillation alone on shapes: tbd_retinanet_shapes.py without feature distillation.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py.
"""

_base_ = "tbd_retinanet_shapes.py"

model = dict(distill=dict(tfd=None))
