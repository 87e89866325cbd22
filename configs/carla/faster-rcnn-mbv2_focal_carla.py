"""CARLA with the focal loss of a softmax classifier, from the first step on.

Needs what faster-rcnn-mbv2_ce_carla.py needs.
"""

_base_ = "faster-rcnn-mbv2_ce_carla.py"

loss_cls = dict(_delete_=True, type="tbd.SoftmaxFocalLoss", gamma=2.0)
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
