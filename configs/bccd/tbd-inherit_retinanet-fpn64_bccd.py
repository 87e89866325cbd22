"""TBD on BCCD: retinanet-fpn64_student_bccd.py, which begins with its teacher's neck and head.

Needs what tbd_retinanet_bccd.py needs.
"""

_base_ = "tbd_retinanet-fpn64_bccd.py"

model = dict(student_init="inherit")
