"""Harmony distillation on nuclei: tbd_retinanet_nuclei.py without features.

Needs the teacher's checkpoint: see tbd_retinanet_nuclei.py.
"""

_base_ = "tbd_retinanet_nuclei.py"

model = dict(distill=dict(tfd=None))
