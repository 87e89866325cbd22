"""Long-tailed shapes with the focal loss of a softmax classifier, from the first step on.

Needs nothing: the data set is written on first use. About 2 minutes on a CPU core.
"""

_base_ = ["faster-rcnn_ce_shapes_lt.py"]

loss_cls = dict(_delete_=True, type="tbd.SoftmaxFocalLoss", gamma=2.0)
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
