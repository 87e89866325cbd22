"""Feature distillation on aquarium: tbd_retinanet-mbv2_aquarium.py without harmony.

Needs the teacher's checkpoint: see tbd_retinanet-mbv2_aquarium.py.
"""

_base_ = "tbd_retinanet-mbv2_aquarium.py"

model = dict(distill=dict(hd=None))
