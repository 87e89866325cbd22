"""VID on shapes: tbd_retinanet_shapes.py with other terms.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py. The weight is not tuned.
"""

_base_ = "./tbd_retinanet_shapes.py"

model = dict(
    distill=dict(
        _delete_=True, vid=dict(type="tbd.VariationalInformationDistillation", loss_weight=1.0)
    )
)
