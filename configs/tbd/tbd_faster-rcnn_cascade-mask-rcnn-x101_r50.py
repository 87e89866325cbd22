"""Cascade Mask R-CNN ResNeXt-101 (46.6 box AP, downloaded) teaches Faster R-CNN ResNet-50 (38.4).

24 epochs; the second stage learns from the whole cascade, on the student's proposals. Needs COCO in
data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "./tbd_faster-rcnn_r101_r50_roi.py"
model = dict(
    teacher="mmdet::cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_ms-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/"
    "cascade_mask_rcnn_x101_64x4d_fpn_mstrain_3x_coco/"
    "cascade_mask_rcnn_x101_64x4d_fpn_mstrain_3x_coco_20210719_210311-d3e64ba0.pth",
)
