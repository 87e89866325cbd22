"""Feature distillation on hdBPMN: tbd_retinanet-mbv2_hdbpmn.py without harmony.

Needs the teacher's checkpoint: see tbd_retinanet-mbv2_hdbpmn.py.
"""

_base_ = "tbd_retinanet-mbv2_hdbpmn.py"

model = dict(distill=dict(hd=None))
