"""TBD on BCCD for 48 epochs, twice the usual schedule.

Needs what tbd_retinanet_bccd.py needs.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(student="{{ fileDirname }}/retinanet-2x_student_bccd.py")
train_cfg = dict(max_epochs=48, val_interval=48)
