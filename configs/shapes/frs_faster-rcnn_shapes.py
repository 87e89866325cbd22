"""FRS on shapes: tbd_faster-rcnn_shapes.py with other terms.

Needs the teacher's checkpoint: see tbd_faster-rcnn_shapes.py. The weights are those of the
paper, the warm-up is as long as that of the learning rate here.
"""

_base_ = "./tbd_faster-rcnn_shapes.py"

model = dict(
    distill=dict(
        _delete_=True,
        frs=dict(
            type="tbd.FeatureRichnessDistillation",
            feature_weight=0.002,
            cls_weight=0.1,
            schedule=dict(warm_up=50),
        ),
    )
)
