"""Mask R-CNN Swin-S (48.2 AP, downloaded) teaches RetinaNet ResNet-50 (37.4 AP), 24 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    teacher="mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/swin/"
    "mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco/"
    "mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco_20210903_104808-b92c91f1.pth",
    # The RPN's pyramid begins at stride 4, RetinaNet's at 8 and ends one level later.
    level_map=[(0, 1), (1, 2), (2, 3), (3, 4)],
)
