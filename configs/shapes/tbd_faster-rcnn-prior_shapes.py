"""TBD on shapes, two-stage: faster-rcnn-prior_student_shapes.py by faster-rcnn_teacher_shapes.py.

Needs the teacher's checkpoint: train faster-rcnn_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = "tbd_faster-rcnn_shapes.py"

model = dict(student="{{ fileDirname }}/faster-rcnn-prior_student_shapes.py")
