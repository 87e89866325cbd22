"""TBD on BCCD: retinanet-fpn64_student_bccd.py, which begins at random weights.

Needs what tbd_retinanet_bccd.py needs.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(student="{{ fileDirname }}/retinanet-fpn64_student_bccd.py")
