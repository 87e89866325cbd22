"""Mask R-CNN on shapes, its masks trained by the Dice loss of each region.

Needs nothing: the data set is written on first use.
"""

_base_ = "mask-rcnn_cross-entropy_shapes.py"

model = dict(
    roi_head=dict(
        mask_head=dict(loss_mask=dict(_delete_=True, type="tbd.DiceLoss", per_image=True))
    )
)
