"""From boxes and scores to detections, as MMDetection does it, in operators that ONNX has."""

from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import pad


@dataclass(frozen=True)
class Candidates:
    """Boxes that compete in non-maximum suppression.

    Attributes:
        boxes: [N, K, 4] as ``x1, y1, x2, y2``.
        scores: [N, K]; one of 0 is out of the race.
        groups: [N, K], int64. Boxes of different groups do not suppress each other: classes, or
            the levels of a region proposal network.
    """

    boxes: Tensor
    scores: Tensor
    groups: Tensor


def best_pairs(
    boxes: Tensor, chosen_by: Tensor, scores: Tensor, threshold: float, limit: int
) -> Candidates:
    """Take the best pairs of a box and a class.

    Args:
        boxes: [N, M, 4].
        chosen_by: Scores [N, M, C] by which pairs are taken.
        scores: Scores [N, M, C] that they compete with.
        threshold: Pairs count whose score to be taken by is above it.
        limit: How many are taken; all of them where it is not positive.

    Returns:
        ``limit`` candidates, or M·C; their groups are classes.
    """
    classes = scores.shape[2]
    chosen_by = torch.where(chosen_by > threshold, chosen_by, 0.0)
    scores = torch.where(chosen_by > 0, scores, 0.0)
    if limit <= 0:
        labels = torch.arange(classes, device=boxes.device).expand(scores.shape)
        repeated = boxes.unsqueeze(2).expand(-1, -1, classes, 4)
        return Candidates(repeated.flatten(1, 2), scores.flatten(1), labels.flatten(1))
    # A small map may have fewer pairs than the limit, which a graph of any size cannot know.
    rows = -(-limit // classes)
    boxes, chosen_by, scores = (pad(item, (0, 0, 0, rows)) for item in (boxes, chosen_by, scores))
    _, taken = chosen_by.flatten(1).topk(limit, dim=1)
    box = torch.div(taken, classes, rounding_mode="floor")
    return Candidates(
        boxes.gather(1, box.unsqueeze(-1).expand(-1, -1, 4)),
        scores.flatten(1).gather(1, taken),
        taken - box * classes,
    )


def join(parts: list[Candidates]) -> Candidates:
    """Let the candidates of several levels compete."""
    return Candidates(
        torch.cat([part.boxes for part in parts], dim=1),
        torch.cat([part.scores for part in parts], dim=1),
        torch.cat([part.groups for part in parts], dim=1),
    )


def clip(boxes: Tensor, image: Tensor, border: int = 0) -> Tensor:
    """Clip boxes [N, K, 4] to images [N, C, H, W] without the last ``border`` rows and columns."""
    height, width = (image.new_ones(()).float() * image.shape[axis] - border for axis in (2, 3))
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    zero = torch.zeros_like(height)
    return torch.stack(
        [
            torch.maximum(torch.minimum(x1, width), zero),
            torch.maximum(torch.minimum(y1, height), zero),
            torch.maximum(torch.minimum(x2, width), zero),
            torch.maximum(torch.minimum(y2, height), zero),
        ],
        dim=-1,
    )


def without_small(candidates: Candidates, smallest: float) -> Candidates:
    """Drop boxes that are not wider and higher than ``smallest`` pixels; below 0, drop none."""
    if smallest < 0:
        return candidates
    extent = candidates.boxes[..., 2:] - candidates.boxes[..., :2]
    large = (extent > smallest).all(dim=-1)
    return Candidates(
        candidates.boxes, torch.where(large, candidates.scores, 0.0), candidates.groups
    )


class Suppression(nn.Module):
    """Non-maximum suppression within groups; the best detections of each image, padded.

    Args:
        iou_threshold: A box is dropped on an IoU above it with a better one of its group; None
            drops none.
        limit: Detections of an image.
        across_groups: Boxes of different groups suppress each other too.
    """

    def __init__(
        self, iou_threshold: float | None, limit: int, across_groups: bool = False
    ) -> None:
        super().__init__()
        self.iou_threshold = iou_threshold
        self.limit = limit
        self.across_groups = across_groups

    def forward(self, candidates: Candidates) -> tuple[Tensor, Tensor, Tensor]:
        """Suppress.

        Returns:
            Boxes [N, limit, 4], scores [N, limit] from the best to the worst, and groups
            [N, limit]. Where an image has fewer detections, the rest has boxes and scores of 0
            and group −1.
        """
        boxes, scores, groups = candidates.boxes, candidates.scores, candidates.groups
        if self.iou_threshold is not None:
            scores = torch.where(self._kept(boxes, scores, groups), scores, 0.0)
        # topk wants as many as it takes.
        boxes = pad(boxes, (0, 0, 0, self.limit))
        scores, groups = (pad(item, (0, self.limit)) for item in (scores, groups))
        scores, best = scores.topk(self.limit, dim=1)
        boxes = boxes.gather(1, best.unsqueeze(-1).expand(-1, -1, 4))
        boxes = torch.where(scores.unsqueeze(-1) > 0, boxes, 0.0)
        groups = torch.where(scores > 0, groups.gather(1, best), -1)
        return boxes, scores, groups

    def _kept(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
        if not self.across_groups:
            # Shifted so far apart that boxes of different groups cannot meet.
            counted = torch.where(scores.unsqueeze(-1) > 0, boxes, 0.0)
            step = counted.amax(dim=(1, 2), keepdim=True) + 1
            boxes = boxes + groups.unsqueeze(-1).to(boxes) * step
        selected = _NonMaxSuppression.apply(boxes, scores, self.iou_threshold, self.limit)
        image, _, index = selected.unbind(dim=1)
        return torch.zeros_like(groups).index_put((image, index), torch.ones_like(index)).bool()


class _NonMaxSuppression(torch.autograd.Function):
    """ONNX's NonMaxSuppression over boxes [N, K, 4] and positive scores [N, K] of one class."""

    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int
    ) -> Tensor:
        rows = []
        for image, (its_boxes, its_scores) in enumerate(zip(boxes, scores, strict=True)):
            (competing,) = its_scores.nonzero(as_tuple=True)
            kept = torchvision.ops.nms(its_boxes[competing], its_scores[competing], iou_threshold)
            index = competing[kept[:limit]]
            columns = [torch.full_like(index, image), torch.zeros_like(index), index]
            rows.append(torch.stack(columns, dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, limit: int) -> Any:
        def constant(value: Any, dtype: torch.dtype) -> Any:
            return g.op("Constant", value_t=torch.tensor([value], dtype=dtype))

        one_class = g.op("Unsqueeze", scores, constant(1, torch.int64))
        selected = g.op(
            "NonMaxSuppression",
            boxes,
            one_class,
            constant(limit, torch.int64),
            constant(iou_threshold, torch.float32),
            constant(0.0, torch.float32),
        )
        selected.setType(selected.type().with_sizes([None, 3]))
        return selected
