"""RTMDet on COCO, 300 epochs: RTMDet-l (51.3 AP, downloaded) teaches RTMDet-s (44.5 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 32 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v3.0/rtmdet/"
    "rtmdet_l_8xb32-300e_coco/rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth",
    distill={{_base_.distillation.terms}},
)
# MMDetection's recipe leaves this at 16, by which --auto-scale-lr would scale wrongly.
auto_scale_lr = dict(base_batch_size=256)
