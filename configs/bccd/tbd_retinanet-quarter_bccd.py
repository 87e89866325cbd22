"""TBD on every fourth image of BCCD, by the teacher that learned from all, 90 epochs.

Needs what tbd_retinanet_bccd.py needs.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(student="{{ fileDirname }}/retinanet-quarter_student_bccd.py")
train_dataloader = dict(dataset=dict(indices=[*range(0, 205, 4)]))
train_cfg = dict(max_epochs=90, val_interval=90)
