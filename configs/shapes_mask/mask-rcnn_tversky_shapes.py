"""Mask R-CNN on shapes, its masks trained by the Tversky loss of each region, β above α.

Needs nothing: the data set is written on first use.
"""

_base_ = "mask-rcnn_cross-entropy_shapes.py"

model = dict(
    roi_head=dict(
        mask_head=dict(
            loss_mask=dict(
                _delete_=True, type="tbd.TverskyLoss", alpha=0.3, beta=0.7, per_image=True
            )
        )
    )
)
