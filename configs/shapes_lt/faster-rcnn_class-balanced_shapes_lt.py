"""Long-tailed shapes with cross entropy, classes weighed by the inverse of their counts.

Needs nothing: the data set is written on first use. About 2 minutes on a CPU core.
"""

_base_ = ["faster-rcnn_ce_shapes_lt.py"]

loss_cls = dict(_delete_=True, type="tbd.SoftmaxFocalLoss", gamma=0.0, class_counts="auto")
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
custom_hooks = [dict(type="tbd.ClassCountsHook")]
