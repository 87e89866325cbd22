"""RetinaNet by TBD with automatic weights on COCO, 24 epochs: ResNet-101 teaches ResNet-50.

Of the gradient on the student's neck the two terms get half at the beginning, in equal parts. Needs
COCO in data/coco; the teacher (38.9 AP) is downloaded. The learning rate is for 8 GPUs × 2 images;
--auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    auto_share=0.5,
    distill=dict(hd=dict(loss_weight="auto"), tfd=dict(loss_weight="auto")),
)
