"""YOLOX on COCO, 300 epochs: YOLOX-l (49.4 AP, downloaded) teaches YOLOX-s (40.5 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 8 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::yolox/yolox_s_8xb8-300e_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::yolox/yolox_l_8xb8-300e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_l_8x8_300e_coco/"
    "yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth",
    distill={{_base_.distillation.ranking_terms}},
)
