"""RetinaNet by TBD with recurrent task weights on COCO, 24 epochs: ResNet-101 teaches ResNet-50.

Needs COCO in data/coco; the teacher (38.9 AP) is downloaded. The learning rate is for 8 GPUs × 2
images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(distill=dict(tfd=dict(weight_generator="recurrent")))
