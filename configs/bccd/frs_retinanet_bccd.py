"""FRS on BCCD, at the weights of its paper; warms up as long as the learning rate does here.

Needs the teacher's checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "tbd_retinanet_bccd.py"

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
