"""RetinaNet on COCO, 24 epochs: ResNeXt-101 64x4d (40.8 AP, downloaded) teaches ResNet-50 (37.4).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    teacher="mmdet::retinanet/retinanet_x101-64x4d_fpn_2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/retinanet/"
    "retinanet_x101_64x4d_fpn_2x_coco/retinanet_x101_64x4d_fpn_2x_coco_20200131-bca068ab.pth",
)
