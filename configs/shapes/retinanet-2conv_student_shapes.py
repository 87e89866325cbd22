"""retinanet_student_shapes.py with a head as deep as the teacher's, for what works inside of heads.

Needs nothing: the data set is written on first use.
"""

_base_ = "./retinanet_student_shapes.py"

model = dict(bbox_head=dict(stacked_convs=2))
