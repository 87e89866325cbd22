"""Harmony maps of a detector's dense predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from tbd.harmony.functional import (
    Confidence,
    Norm,
    check_confidence,
    check_norm,
    classification_probability,
    harmony_score,
    localization_probability,
)
from tbd.predictions import DensePredictions
from tbd.registry import MODELS


@dataclass(frozen=True)
class HarmonyMaps:
    """Per pyramid level, the probabilities and the harmony of each prediction.

    Attributes:
        p_cls: Classification probability [N, A, H, W] of each level.
        p_loc: Localization probability [N, A, H, W] of each level.
        score: Harmony score [N, A, H, W] of each level.
    """

    p_cls: list[Tensor]
    p_loc: list[Tensor]
    score: list[Tensor]

    def per_location(self) -> "HarmonyMaps":
        """Reduce the anchors of a location by maximum, to shape [N, 1, H, W].

        The harmony score is taken from the reduced probabilities, so it is a
        property of the location and comparable between detectors whose
        anchors differ.
        """
        return HarmonyMaps._of(
            [level.amax(dim=1, keepdim=True) for level in self.p_cls],
            [level.amax(dim=1, keepdim=True) for level in self.p_loc],
        )

    def resized(self, sizes: Sequence[tuple[int, int]]) -> "HarmonyMaps":
        """Bring the maps of locations to other heights and widths.

        A coarser map takes the maximum over the cells that it covers, as over
        the anchors of a location; a finer one repeats them. The harmony score
        is taken from the resized probabilities.

        Args:
            sizes: Height and width of each level.
        """
        return HarmonyMaps._of(
            *(
                [adaptive_max_pool2d(level, size) for level, size in zip(maps, sizes, strict=True)]
                for maps in (self.p_cls, self.p_loc)
            )
        )

    @classmethod
    def _of(cls, p_cls: list[Tensor], p_loc: list[Tensor]) -> "HarmonyMaps":
        return cls(p_cls, p_loc, [harmony_score(c, r) for c, r in zip(p_cls, p_loc, strict=True)])


@MODELS.register_module()
class HarmonyScoreHead(nn.Module):
    """Turn dense predictions and ground truth into harmony maps.

    It has no parameters and predicts nothing new: it reads the logits and the
    decoded boxes that the detector's own dense head produced.

    Args:
        norm: How logits become a classification probability, see
            :func:`~tbd.harmony.classification_probability`. The paper's is
            ``"softmax"``.
        confidence: Which logits: ``"class"``, those of the classes alone (the
            paper), or ``"ranking"``, those of the score that ranks predictions
            at NMS, where a centerness, IoU or objectness branch takes part.

    Raises:
        ValueError: if ``norm`` or ``confidence`` is unknown.
    """

    def __init__(self, norm: Norm = "softmax", confidence: Confidence = "class") -> None:
        super().__init__()
        self.norm = check_norm(norm)
        self.confidence = check_confidence(confidence)

    def forward(self, predictions: DensePredictions, gts: Sequence[Tensor]) -> HarmonyMaps:
        """Compute the maps of every level.

        Args:
            predictions: What the dense head predicts before NMS.
            gts: Ground-truth boxes [G, 4] of each image, in pixels of the input.

        Returns:
            The maps; differentiable wherever the predictions are.
        """
        ranking = self.confidence == "ranking"
        all_logits = predictions.ranking_logits if ranking else predictions.cls_logits
        p_cls, p_loc = [], []
        # One search for all levels: on small maps its steps cost more than their boxes.
        sizes = [boxes.shape[1] for boxes in predictions.boxes]
        found = localization_probability(torch.cat(predictions.boxes, dim=1), gts).split(sizes, 1)
        for logits, level_loc in zip(all_logits, found, strict=True):
            level_cls = classification_probability(
                logits, predictions.num_classes, self.norm, background=predictions.background
            )
            batch, anchors, height, width = level_cls.shape
            # Laid out as found by itself, so that sums over it round alike.
            by_cell = level_loc.contiguous().view(batch, height, width, anchors)
            p_cls.append(level_cls)
            p_loc.append(by_cell.permute(0, 3, 1, 2))
        return HarmonyMaps._of(p_cls, p_loc)
