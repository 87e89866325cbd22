"""tbd_retinanet_bccd.py with weights that set themselves by the gradients on the student's neck.

Of these norms the two terms get half at the beginning, in equal parts. Needs the teacher's
checkpoint: see tbd_retinanet_bccd.py.
"""

_base_ = "./tbd_retinanet_bccd.py"

model = dict(distill=dict(hd=dict(loss_weight="auto"), tfd=dict(loss_weight="auto")))
