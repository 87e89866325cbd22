"""faster-rcnn_student_shapes.py with an RPN that begins by taking few anchors for objects.

It gives every anchor a score of 0.01 at first, as one-stage heads do, in place of 0.5: what a
distillation sums over all anchors begins small. Needs nothing: the data set is written on first
use.
"""

_base_ = "faster-rcnn_student_shapes.py"

model = dict(
    rpn_head=dict(
        init_cfg=dict(
            type="Normal",
            layer="Conv2d",
            std=0.01,
            override=dict(type="Normal", name="rpn_cls", std=0.01, bias_prob=0.01),
        )
    )
)
