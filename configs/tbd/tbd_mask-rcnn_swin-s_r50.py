"""Mask R-CNN on COCO, 24 epochs: Swin-S (48.2 box AP, downloaded) teaches ResNet-50 (39.2).

The terms act on the neck and on the RPN, which is a one-stage head. Needs COCO in data/coco. The
learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "./tbd_mask-rcnn_r101_r50.py"
model = dict(
    teacher="mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/swin/"
    "mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco/"
    "mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco_20210903_104808-b92c91f1.pth",
)
