"""TBD across detectors: faster-rcnn_student_shapes.py taught by retinanet_teacher_shapes.py.

Needs the teacher's checkpoint: train retinanet_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = "./tbd_faster-rcnn_shapes.py"

model = dict(
    teacher="{{ fileDirname }}/retinanet_teacher_shapes.py",
    teacher_ckpt="work_dirs/retinanet_teacher_shapes/epoch_20.pth",
    # Strides 4, 8, 16, 32 of the student and 8, 16, 32 of the teacher, whose finest level serves
    # two of the student's: the first of them sees it enlarged.
    level_map=[(0, 0), (1, 0), (2, 1), (3, 2)],
    resize=True,
)
