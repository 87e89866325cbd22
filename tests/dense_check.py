"""Dense predictions held against what a head's own ``predict_by_feat`` makes of the same output."""

from typing import Any

import torch
from mmengine.config import ConfigDict

from tbd.predictions import DensePredictions

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
    head: Any, raw: Any, dense: DensePredictions, at_least: int = 50, tolerance: float = 1e-4
) -> None:
    """Everything the head predicts from ``raw`` must be one of the dense predictions.

    Nothing is filtered but by a NMS that removes only duplicates; the score that
    the head gives a prediction must be the sigmoid of its ranking logit.
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
    cfg = ConfigDict(
        nms_pre=-1,
        min_bbox_size=-1,
        score_thr=0.0,
        max_per_img=10**6,
        nms=dict(type="nms", iou_threshold=1.0),
        **{key: value for key, value in (head.test_cfg or {}).items() if key == "conf_thr"},
    )
    predicted = head.predict_by_feat(*raw, batch_img_metas=metas, cfg=cfg, rescale=False)
    channels = dense.num_classes + dense.background
    for image in range(batch):
        boxes = torch.cat([level[image] for level in dense.boxes])
        # Heads clip boxes to the image, dense predictions are not clipped.
        boxes = boxes.clamp(0, IMAGE)
        logits = prediction_rows(dense.ranking_logits, image, channels)
        scores = logits.softmax(1)[:, :-1] if dense.background else logits.sigmoid()
        assert len(boxes) == len(scores)
        instances = predicted[image]
        assert len(instances) >= at_least
        for box, score, label in zip(
            instances.bboxes, instances.scores, instances.labels, strict=True
        ):
            gap = (boxes - box).abs().amax(1) + (scores[:, label] - score).abs()
            assert gap.min() < tolerance
