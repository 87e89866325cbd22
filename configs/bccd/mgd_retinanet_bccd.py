"""MGD on BCCD, at its paper's weight for one-stage detectors.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(
    distill=dict(
        _delete_=True,
        mgd=dict(type="tbd.MaskedGenerativeDistillation", loss_weight=2e-5, mask_ratio=0.65),
    )
)
