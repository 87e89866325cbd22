"""RetinaNet ResNeXt-101 (41.6 AP, downloaded) teaches GFL ResNet-50 (40.2 AP), 12 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "./tbd_gfl_r101_r50.py"
model = dict(
    teacher="mmdet::retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/retinanet/"
    "retinanet_x101_64x4d_fpn_mstrain_3x_coco/"
    "retinanet_x101_64x4d_fpn_mstrain_3x_coco_20210719_051838-022c2187.pth",
)
