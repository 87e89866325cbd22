"""FRS on shapes: tbd_retinanet_shapes.py with other terms.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py. The weights are those of the paper, the
warm-up is as long as that of the learning rate here.
"""

_base_ = "./tbd_retinanet_shapes.py"

model = dict(
    distill=dict(
        _delete_=True,
        frs=dict(
            type="tbd.FeatureRichnessDistillation",
            feature_weight=0.005,
            cls_weight=0.02,
            schedule=dict(warm_up=50),
        ),
    )
)
