"""The thresholds by which a config chooses detections, and what of a detector ONNX cannot hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class UnexportableError(ValueError):
    """ONNX has no form for a part of this detector."""


@dataclass(frozen=True)
class Limits:
    """Which predictions become detections.

    Attributes:
        score_thr: They have a score above it.
        iou_threshold: Of non-maximum suppression; None where there is none.
        max_per_img: Detections of an image, at most.
        class_agnostic: Boxes of different classes suppress each other too.
    """

    score_thr: float
    iou_threshold: float | None
    max_per_img: int
    class_agnostic: bool = False


def read_limits(test_cfg: Mapping[str, Any], key: str, usual_limit: int = 100) -> Limits:
    """Read the thresholds of a config.

    Args:
        test_cfg: Part of ``model.test_cfg``.
        key: Its name, for error messages.
        usual_limit: Detections of an image where the config does not say.

    Raises:
        UnexportableError: if it asks for another suppression than the usual.
    """
    nms = test_cfg.get("nms")
    kind = "nms" if nms is None else str(nms.get("type", "nms"))
    if kind != "nms":
        raise UnexportableError(
            f"{key}.nms.type is {kind!r}, but ONNX's NonMaxSuppression is plain NMS. Set "
            f"{key}.nms.type=nms, or export without --end-to-end."
        )
    limit = int(test_cfg.get("max_per_img", -1))
    return Limits(
        score_thr=float(test_cfg.get("score_thr", 0.0)),
        iou_threshold=None if nms is None else float(nms["iou_threshold"]),
        max_per_img=limit if limit > 0 else usual_limit,
        class_agnostic=bool(nms is not None and nms.get("class_agnostic", False)),
    )
