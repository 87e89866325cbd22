"""The plain student on BCCD with neck and head of the teacher's width, so that it can inherit them.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = "retinanet_student_bccd.py"

model = dict(
    neck=dict(out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2),
)
