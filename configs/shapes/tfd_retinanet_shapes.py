"""Feature distillation alone on shapes: tbd_retinanet_shapes.py without harmony distillation.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py.
"""

_base_ = "tbd_retinanet_shapes.py"

model = dict(distill=dict(hd=None))
