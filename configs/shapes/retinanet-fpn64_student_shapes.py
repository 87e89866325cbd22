"""The plain student on shapes with neck and head of the teacher's width and depth.

Needs nothing: the data set is written on first use.
"""

_base_ = "./retinanet_student_shapes.py"

model = dict(
    neck=dict(out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2),
)
