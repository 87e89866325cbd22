"""tbd_faster-rcnn_shapes.py with the tasks of all levels weighed together by a recurrent network.

Needs the teacher's checkpoint: see tbd_faster-rcnn_shapes.py. The weights are those of
that config, not tuned for this one.
"""

_base_ = "./tbd_faster-rcnn_shapes.py"

model = dict(distill=dict(tfd=dict(weight_generator="recurrent")))
