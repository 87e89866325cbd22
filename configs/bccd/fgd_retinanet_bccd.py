"""FGD on BCCD, at its paper's weights for RetinaNet.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(distill=dict(_delete_=True, fgd=dict(type="tbd.FocalGlobalDistillation")))
