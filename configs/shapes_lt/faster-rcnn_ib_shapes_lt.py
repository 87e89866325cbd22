"""Long-tailed shapes with the influence-balanced loss, after 3 of 6 epochs of cross entropy.

Needs nothing: the data set is written on first use. About 2 minutes on a CPU core.
"""

_base_ = ["faster-rcnn_ce_shapes_lt.py"]

loss_cls = dict(
    _delete_=True,
    type="tbd.TwoPhaseLoss",
    first=dict(type="CrossEntropyLoss"),
    second=dict(type="tbd.InfluenceBalancedLoss", alpha=1000.0, class_counts="auto"),
)
bbox_head = dict(type="tbd.InfluenceBalancedBBoxHead", loss_cls=loss_cls)
model = dict(roi_head=dict(bbox_head=bbox_head))
custom_hooks = [dict(type="tbd.ClassCountsHook"), dict(type="tbd.LossPhaseHook", epoch=3)]
