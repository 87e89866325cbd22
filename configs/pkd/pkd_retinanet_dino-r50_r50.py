"""DINO ResNet-50 (49.0 AP, downloaded) teaches RetinaNet ResNet-50 (37.4 AP), 24 epochs.

By PKD, a term on features: a DETR has no dense predictions for TBD's terms to compare. Needs COCO
in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    teacher="mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v3.0/dino/"
    "dino-4scale_r50_8xb2-12e_coco/dino-4scale_r50_8xb2-12e_coco_20221202_182705-55b2bba2.pth",
    # DINO has no level of stride 128.
    level_map=[(0, 0), (1, 1), (2, 2), (3, 3)],
    distill=dict(_delete_=True, pkd=dict(type="tbd.PearsonFeatureDistillation", loss_weight=6.0)),
)
