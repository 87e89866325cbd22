"""RTMDet-l (51.3 AP, downloaded) teaches YOLOX-s (40.5 AP), 300 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 8 images; --auto-scale-lr adapts it.
"""

_base_ = "./tbd_yolox_l_s.py"
model = dict(
    teacher="mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v3.0/rtmdet/"
    "rtmdet_l_8xb32-300e_coco/rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth",
)
