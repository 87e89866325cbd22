"""retinanet-fpn64_student_shapes.py with one convolution in each tower: as wide, not as deep.

Needs nothing: the data set is written on first use.
"""

_base_ = "./retinanet-fpn64_student_shapes.py"

model = dict(bbox_head=dict(stacked_convs=1))
