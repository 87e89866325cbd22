"""Harmony distillation on CARLA: tbd_retinanet-mbv2_carla.py without features.

Needs the teacher's checkpoint: see tbd_retinanet-mbv2_carla.py.
"""

_base_ = "tbd_retinanet-mbv2_carla.py"

model = dict(distill=dict(tfd=None))
