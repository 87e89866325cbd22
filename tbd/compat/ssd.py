"""Prediction of SSD, which MMDetection 3.3 broke."""

import functools
from typing import Any


def mend_ssd_prediction() -> None:
    """Let SSD predict; to be called once mmdet can be imported.

    Since 3.0 every dense head is asked for its ``loss_cls`` when it predicts,
    but SSDHead computes its loss by itself and never sets one, so that
    validation ends in an AttributeError (mmdetection issues 11063 and 11780).
    An SSDHead without one gets None. Calling it again changes nothing.
    """
    from mmdet.models.dense_heads import SSDHead

    original = SSDHead.__init__
    if getattr(original, "mended", False):
        return

    @functools.wraps(original)
    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        # Not an attribute of the class: that would hide a loss module that a subclass sets.
        if not hasattr(self, "loss_cls"):
            self.loss_cls = None

    initialise.mended = True  # type: ignore[attr-defined]
    SSDHead.__init__ = initialise
