"""DINO on COCO, 12 epochs: Swin-L (57.2 AP, downloaded) teaches ResNet-50 (49.0 AP).

By PKD, a term on features: a DETR has no dense predictions for TBD's terms to compare. Needs COCO
in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v3.0/dino/"
    "dino-5scale_swin-l_8xb2-12e_coco/"
    "dino-5scale_swin-l_8xb2-12e_coco_20230228_072924-a654145f.pth",
    # Only the teacher has a level of stride 4.
    level_map=[(0, 1), (1, 2), (2, 3), (3, 4)],
    distill=dict(pkd=dict(type="tbd.PearsonFeatureDistillation", loss_weight=6.0)),
)
