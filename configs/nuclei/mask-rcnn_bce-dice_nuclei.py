"""Mask R-CNN on nuclei, its masks trained by the cross entropy and Dice loss of each region.

Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py.
"""

_base_ = "mask-rcnn_cross-entropy_nuclei.py"

model = dict(
    roi_head=dict(
        mask_head=dict(loss_mask=dict(_delete_=True, type="tbd.BCEDiceLoss", per_image=True))
    )
)
