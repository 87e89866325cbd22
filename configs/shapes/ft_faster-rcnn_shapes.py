"""Factor transfer on shapes: tbd_faster-rcnn_shapes.py with other terms. In the first epoch
the paraphraser learns the teacher's features, and the student from its labels alone.

Needs the teacher's checkpoint: see tbd_faster-rcnn_shapes.py. The weight is not tuned.
"""

_base_ = "./tbd_faster-rcnn_shapes.py"

model = dict(distill=dict(_delete_=True, ft=dict(type="tbd.FactorTransfer", loss_weight=1.0)))
custom_hooks = [dict(type="tbd.ParaphraserPhaseHook", epoch=1)]
