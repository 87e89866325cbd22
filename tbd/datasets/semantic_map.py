"""Semantic maps out of instance masks, for data sets that have no maps of their own."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from tbd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SemanticMapFromMasks(BaseTransform):
    """Paint the instance masks of an image into one map of class labels.

    Later instances cover earlier ones, as shapes are drawn. Pixels of crowds, which no loss can
    tell apart, are labelled to be ignored.

    Needs ``gt_masks``, ``gt_bboxes_labels`` and ``gt_ignore_flags``, so it comes after
    ``LoadAnnotations(with_bbox=True, with_mask=True)``; adds ``gt_seg_map`` [H, W], uint8.

    Args:
        background: Label of what no instance covers, as a rule the number of classes.
        ignore_index: Label of crowds.

    Raises:
        ValueError: A label is negative or above 255.
    """

    def __init__(self, background: int, ignore_index: int = 255) -> None:
        for name, label in (("background", background), ("ignore_index", ignore_index)):
            if not 0 <= label <= 255:
                raise ValueError(f"{name} must be in 0…255, but is {label}.")
        self.background = background
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the map of one image.

        Raises:
            KeyError: The masks were not loaded.
        """
        if "gt_masks" not in results:
            raise KeyError("SemanticMapFromMasks needs LoadAnnotations(with_mask=True) before it.")
        masks = results["gt_masks"].to_ndarray()
        semantic = np.full(masks.shape[1:], self.background, dtype=np.uint8)
        labels = np.where(
            results["gt_ignore_flags"], self.ignore_index, results["gt_bboxes_labels"]
        )
        for mask, label in zip(masks, labels, strict=True):
            semantic[mask.astype(bool)] = label
        results["gt_seg_map"] = semantic
        results["ignore_index"] = self.ignore_index
        return results
