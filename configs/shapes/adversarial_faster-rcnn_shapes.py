"""A discriminator of features on shapes: tbd_faster-rcnn_shapes.py with other terms.

Needs the teacher's checkpoint: see tbd_faster-rcnn_shapes.py. The weight is not tuned.
"""

_base_ = "./tbd_faster-rcnn_shapes.py"

model = dict(
    distill=dict(
        _delete_=True, adversarial=dict(type="tbd.AdversarialFeatureDistillation", loss_weight=1.0)
    )
)
