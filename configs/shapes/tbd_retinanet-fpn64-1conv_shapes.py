"""TBD on shapes: retinanet-fpn64-1conv_student_shapes.py, as wide as its teacher and less deep.

Needs what tbd_retinanet_shapes.py needs.
"""

_base_ = "./tbd_retinanet_shapes.py"

model = dict(student="{{ fileDirname }}/retinanet-fpn64-1conv_student_shapes.py")
