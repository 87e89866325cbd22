"""Harmony distillation alone on BCCD: tbd_retinanet_bccd.py without feature distillation.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(distill=dict(tfd=None))
