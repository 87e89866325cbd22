"""CARLA with cross entropy, classes weighed by the inverse of their counts.

Needs what faster-rcnn-mbv2_ce_carla.py needs.
"""

_base_ = "faster-rcnn-mbv2_ce_carla.py"

loss_cls = dict(_delete_=True, type="tbd.SoftmaxFocalLoss", gamma=0.0, class_counts="auto")
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
custom_hooks = [dict(type="tbd.ClassCountsHook")]
