"""CWD on BCCD, at the weight of its paper.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(
    distill=dict(_delete_=True, cwd=dict(type="tbd.ChannelWiseDistillation", loss_weight=10.0))
)
