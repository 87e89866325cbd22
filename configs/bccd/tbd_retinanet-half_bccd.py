"""TBD on every second image of BCCD, by the teacher that learned from all, 48 epochs.

Needs what tbd_retinanet_bccd.py needs.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(student="{{ fileDirname }}/retinanet-half_student_bccd.py")
train_dataloader = dict(dataset=dict(indices=[*range(0, 205, 2)]))
train_cfg = dict(max_epochs=48, val_interval=48)
