"""CARLA with the influence-balanced focal loss, after 4 of 8 epochs of cross entropy.

Needs what faster-rcnn-mbv2_ce_carla.py needs.
"""

_base_ = "faster-rcnn-mbv2_ib_carla.py"

# q of the weighted cross entropy would make every sample of a frequent class, whose weight is far
# below 1, an easy one.
second = dict(
    _delete_=True,
    type="tbd.InfluenceBalancedFocalLoss",
    alpha=1000.0,
    gamma=1.0,
    q_from="probability",
    class_counts="auto",
)
model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(second=second))))
