"""PKD on BCCD, at the weight of its public code.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(
    distill=dict(_delete_=True, pkd=dict(type="tbd.PearsonFeatureDistillation", loss_weight=6.0))
)
