"""SSD on COCO, 120 × 5 epochs: VGG-16 (25.5 AP, downloaded) teaches SSDLite-MobileNetV2 (21.3 AP).

The student sees 320×320 pixels, for which SSD300 is the closest teacher. Needs COCO in data/coco.
The learning rate is for 8 GPUs × 24 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::ssd/ssd300_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/ssd/ssd300_coco/"
    "ssd300_coco_20210803_015428-d231a06e.pth",
    # At 320 pixels, 20, 10, 5, 3 and 1 cells; only the teacher has 40, only the student has 2.
    level_map=[(0, 1), (1, 2), (2, 3), (3, 4), (5, 5)],
    probe_size=320,
    distill={{_base_.distillation.terms}},
)
