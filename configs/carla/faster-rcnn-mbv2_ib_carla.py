"""CARLA with the influence-balanced loss, after 4 of 8 epochs of cross entropy.

Needs what faster-rcnn-mbv2_ce_carla.py needs.
"""

_base_ = "faster-rcnn-mbv2_ce_carla.py"

loss_cls = dict(
    _delete_=True,
    type="tbd.TwoPhaseLoss",
    first=dict(type="CrossEntropyLoss"),
    second=dict(type="tbd.InfluenceBalancedLoss", alpha=1000.0, class_counts="auto"),
)
bbox_head = dict(type="tbd.InfluenceBalancedBBoxHead", loss_cls=loss_cls)
model = dict(roi_head=dict(bbox_head=bbox_head))
custom_hooks = [dict(type="tbd.ClassCountsHook"), dict(type="tbd.LossPhaseHook", epoch=4)]
