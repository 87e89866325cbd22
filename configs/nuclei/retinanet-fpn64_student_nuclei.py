"""The plain student on nuclei with neck and head of the teacher's width and depth.

Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py.
"""

_base_ = "retinanet_student_nuclei.py"

model = dict(
    neck=dict(out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2),
)
