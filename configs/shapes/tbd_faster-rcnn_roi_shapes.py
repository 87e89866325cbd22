"""tbd_faster-rcnn_shapes.py with the second stage distilled too, on the student's proposals.

Needs the teacher's checkpoint: train faster-rcnn_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = "./tbd_faster-rcnn_shapes.py"

model = dict(distill=dict(roi=dict(type="tbd.RoIDistillation", loss_weight=1.0)))
