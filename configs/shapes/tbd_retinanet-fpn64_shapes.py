"""TBD on shapes: retinanet-fpn64_student_shapes.py, as wide behind its backbone as its teacher.

Needs what tbd_retinanet_shapes.py needs.
"""

_base_ = "./tbd_retinanet_shapes.py"

model = dict(student="{{ fileDirname }}/retinanet-fpn64_student_shapes.py")
