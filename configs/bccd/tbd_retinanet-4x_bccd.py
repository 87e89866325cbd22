"""TBD on BCCD for 96 epochs, four times the usual schedule.

Needs what tbd_retinanet_bccd.py needs.
"""

_base_ = "tbd_retinanet_bccd.py"

model = dict(student="{{ fileDirname }}/retinanet-4x_student_bccd.py")
train_cfg = dict(max_epochs=96, val_interval=96)
