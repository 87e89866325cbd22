"""BCKD on BCCD, at the weights of its paper.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(distill=dict(_delete_=True, bckd=dict(type="tbd.BinaryClassificationDistillation")))
