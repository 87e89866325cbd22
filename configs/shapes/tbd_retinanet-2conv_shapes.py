"""TBD on shapes, on a pair that CrossKD suits too: heads of one depth, of different widths.

Needs the teacher's checkpoint: train retinanet_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = "./tbd_retinanet_shapes.py"

model = dict(student="{{ fileDirname }}/retinanet-2conv_student_shapes.py")
