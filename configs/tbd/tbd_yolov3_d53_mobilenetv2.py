"""YOLOv3 on COCO, 30 × 10 epochs: Darknet-53 (33.7 AP, downloaded) teaches MobileNetV2 (23.9 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 24 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::yolo/yolov3_d53_8xb8-ms-608-273e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/yolo/"
    "yolov3_d53_mstrain-608_273e_coco/"
    "yolov3_d53_mstrain-608_273e_coco_20210518_115020-a2c3acb8.pth",
    distill={{_base_.distillation.ranking_terms}},
)
