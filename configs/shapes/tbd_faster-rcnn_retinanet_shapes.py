"""TBD across detectors: retinanet_student_shapes.py taught by faster-rcnn_teacher_shapes.py.

Needs the teacher's checkpoint: train faster-rcnn_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = "./tbd_retinanet_shapes.py"

model = dict(
    teacher="{{ fileDirname }}/faster-rcnn_teacher_shapes.py",
    teacher_ckpt="work_dirs/faster-rcnn_teacher_shapes/epoch_20.pth",
    # Strides 8, 16, 32 of the student and 4, 8, 16, 32 of the teacher.
    level_map=[(0, 1), (1, 2), (2, 3)],
)
