"""RetinaNet ResNeXt-101 (41.6 AP, downloaded) teaches Faster R-CNN ResNet-50 (38.4 AP), 24 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "./tbd_faster-rcnn_r101_r50.py"
model = dict(
    teacher="mmdet::retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/retinanet/"
    "retinanet_x101_64x4d_fpn_mstrain_3x_coco/"
    "retinanet_x101_64x4d_fpn_mstrain_3x_coco_20210719_051838-022c2187.pth",
    # The RPN's pyramid begins at stride 4, RetinaNet's at 8 and ends one level later.
    level_map=[(1, 0), (2, 1), (3, 2), (4, 3)],
)
