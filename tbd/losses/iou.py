"""Intersection over union of hard predictions: what the Lovász losses stand in for.

As in Berman et al., "The Lovász-Softmax loss", CVPR 2018, equations 1 and 2; as fractions, not
percentages.
"""

import torch
from torch import Tensor


def binary_iou(
    prediction: Tensor,
    target: Tensor,
    *,
    per_image: bool = True,
    ignore_index: int | None = None,
    empty: float = 1.0,
) -> Tensor:
    """IoU of the foreground of predicted and true masks.

    Args:
        prediction: 0 or 1 (``logits > 0``), [N, H, W] or any shape.
        target: 0 or 1, of the same shape.
        per_image: Mean over the IoUs of the images, instead of one IoU over all pixels.
        ignore_index: Target of pixels that do not count.
        empty: IoU where neither mask has foreground.

    Returns:
        A scalar in [0, 1], float64.

    Raises:
        ValueError: Shapes differ or a value is out of range.
    """
    ious = multiclass_iou(
        prediction, target, 2, per_image=per_image, ignore_index=ignore_index, empty=empty
    )
    return ious[1]


def multiclass_iou(
    prediction: Tensor,
    target: Tensor,
    num_classes: int,
    *,
    per_image: bool = False,
    ignore_index: int | None = None,
    empty: float = 1.0,
) -> Tensor:
    """IoU of each class.

    Args:
        prediction: Labels (``logits.argmax(1)``) [N, H, W] or any shape.
        target: Labels of the same shape.
        num_classes: C; labels are 0…C−1.
        per_image: Mean over the IoUs of the images, instead of one IoU over all pixels.
        ignore_index: Target of pixels that do not count, whatever is predicted there.
        empty: IoU of a class that is neither predicted nor there; ``math.nan`` keeps such classes
            out of a ``nanmean``.

    Returns:
        IoUs [C] in [0, 1], float64; their mean is the mIoU.

    Raises:
        ValueError: Shapes differ or a label is out of range.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have the same shape, but are {list(prediction.shape)} and "
            f"{list(target.shape)}."
        )
    valid = torch.ones_like(target, dtype=torch.bool)
    if ignore_index is not None:
        valid = target != ignore_index
    classes = torch.arange(num_classes, device=target.device).view(-1, *[1] * target.ndim)
    masks = []
    for name, labels in (("prediction", prediction), ("target", target)):
        mask = labels == classes
        unknown = valid & ~mask.any(0)
        if unknown.any():
            raise ValueError(
                f"{name} must be labels in 0…{num_classes - 1}, but holds "
                f"{labels[unknown][0].item():g}; ignore_index is {ignore_index}."
            )
        masks.append((mask & valid).flatten(2 if per_image else 1))
    found, there = masks
    intersection, union = (there & found).sum(-1).double(), (there | found).sum(-1).double()
    ious = torch.where(union > 0, intersection / union, empty)
    return ious.mean(-1) if per_image else ious
