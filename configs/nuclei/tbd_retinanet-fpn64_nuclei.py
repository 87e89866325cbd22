"""TBD on nuclei: retinanet-fpn64_student_nuclei.py, as wide behind its backbone as its teacher.

Needs what tbd_retinanet_nuclei.py needs.
"""

_base_ = "tbd_retinanet_nuclei.py"

model = dict(student="{{ fileDirname }}/retinanet-fpn64_student_nuclei.py")
