"""Faster R-CNN ResNeXt-101 (43.1 AP, downloaded) teaches RetinaNet ResNet-50 (37.4 AP), 24 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    teacher="mmdet::faster_rcnn/faster-rcnn_x101-64x4d_fpn_ms-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/"
    "faster_rcnn_x101_64x4d_fpn_mstrain_3x_coco/"
    "faster_rcnn_x101_64x4d_fpn_mstrain_3x_coco_20210524_124528-26c63de6.pth",
    # The RPN's pyramid begins at stride 4, RetinaNet's at 8 and ends one level later.
    level_map=[(0, 1), (1, 2), (2, 3), (3, 4)],
)
