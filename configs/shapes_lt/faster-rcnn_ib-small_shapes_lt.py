"""Long-tailed shapes with the influence-balanced loss, at a tenth of its alpha.

Needs nothing: the data set is written on first use. About 2 minutes on a CPU core.
"""

_base_ = ["faster-rcnn_ib_shapes_lt.py"]

model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(second=dict(alpha=100.0)))))
