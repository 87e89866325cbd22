"""tbd_faster-rcnn_r101_r50.py with the second stage distilled too, on the student's proposals.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "./tbd_faster-rcnn_r101_r50.py"
model = dict(distill=dict(roi=dict(type="tbd.RoIDistillation", loss_weight=1.0)))
