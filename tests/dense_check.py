"""Dense predictions held against what a head's own ``predict_by_feat`` makes of the same output."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import ConfigDict

from tbd.predictions import DensePredictions, build_adapter

IMAGE = 10_000


def prediction_rows(levels: list[torch.Tensor], image: int, channels: int) -> torch.Tensor:
    """All levels' [N, A·channels, H, W] of one image as rows [predictions, channels]."""
    return torch.cat(
        [
            level[image].unflatten(0, (-1, channels)).permute(2, 3, 0, 1).flatten(0, 2)
            for level in levels
        ]
    )


def assert_predictions_found(
    head: Any,
    raw: Any,
    dense: DensePredictions,
    at_least: int = 50,
    tolerance: float = 1e-4,
    cfg: dict[str, Any] | None = None,
) -> None:
    """Everything the head predicts from ``raw`` must be one of the dense predictions.

    Nothing is filtered but by a NMS that removes only duplicates; the score that
    the head gives a prediction must be the sigmoid of its ranking logit. ``cfg``
    holds test options that this head needs besides the common ones.
    """
    batch = len(dense.cls_logits[0])
    metas = [
        dict(
            img_shape=(IMAGE, IMAGE),
            ori_shape=(IMAGE, IMAGE),
            scale_factor=(1.0, 1.0),
            pad_shape=(IMAGE, IMAGE),
            batch_input_shape=(IMAGE, IMAGE),
        )
        for _ in range(batch)
    ]
    options = ConfigDict(
        nms_pre=-1,
        min_bbox_size=-1,
        score_thr=0.0,
        max_per_img=10**6,
        nms=dict(type="nms", iou_threshold=1.0),
        **{key: value for key, value in (head.test_cfg or {}).items() if key == "conf_thr"},
        **(cfg or {}),
    )
    predicted = head.predict_by_feat(*raw, batch_img_metas=metas, cfg=options, rescale=False)
    channels = dense.num_classes + dense.background
    for image in range(batch):
        boxes = torch.cat([level[image] for level in dense.boxes])
        # Most heads clip boxes to the image, dense predictions are not clipped.
        boxes = boxes.clamp(0, IMAGE)
        logits = prediction_rows(dense.ranking_logits, image, channels)
        scores = logits.softmax(1)[:, :-1] if dense.background else logits.sigmoid()
        assert len(boxes) == len(scores)
        instances = predicted[image]
        assert len(instances) >= at_least
        for box, score, label in zip(
            instances.bboxes.clamp(0, IMAGE), instances.scores, instances.labels, strict=True
        ):
            gap = (boxes - box).abs().amax(1) + (scores[:, label] - score).abs()
            assert gap.min() < tolerance


@torch.no_grad()
def assert_modes_agree(head: Any, features: tuple[torch.Tensor, ...]) -> None:
    """The head's output in training and in evaluation must be read as the same predictions."""
    adapter = build_adapter(head)
    train, evaluated = (adapter(head.train(mode)(features)) for mode in (True, False))
    for name in ("boxes", "cls_logits", "ranking_logits"):
        for left, right in zip(getattr(train, name), getattr(evaluated, name), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-4)


def box_gradients(head: Any, raw: Any) -> Any:
    """Gradient of the boxes with respect to ``raw`` given in half precision, in raw's own form."""
    leaves = _each(raw, lambda level: level.bfloat16().requires_grad_())
    boxes = build_adapter(head)(leaves).boxes
    assert all(level.dtype == torch.float32 for level in boxes)
    # The plain sum of both corners would not depend on a box's size.
    sum((level * torch.tensor([1.0, 2, 3, 5])).sum() for level in boxes).backward()
    return _each(leaves, lambda leaf: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)


def _each(item: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(item, torch.Tensor):
        return function(item)
    return tuple(_each(part, function) for part in item)
