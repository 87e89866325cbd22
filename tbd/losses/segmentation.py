"""What the segmentation losses have in common: how heads call them, and how values are reduced."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from tbd.checks import check_choice
from tbd.losses.checks import Reduction, check_integers, check_values
from tbd.losses.pixels import check_logits, class_pixels


class SegmentationLoss(nn.Module, ABC):
    """Base of the segmentation losses; its options are theirs too.

    A module is called as the heads of MMDetection call theirs:

    * ``loss(logits [R, C, …], masks [R, …], labels [R])`` as a mask head calls ``loss_mask``: of
      each region the channel of its label is compared with its mask.
    * ``loss(logits [N, C, …], labels [N, …])`` as a semantic head calls ``loss_seg``.
    * ``loss(logits, target)``, both of the same shape: a binary problem.

    Args:
        per_image: One value for each entry of the first axis (image, or region of a mask head),
            then reduced, instead of one over the whole batch.
        ignore_index: Target of pixels that do not count, such as MMDetection's padding, 255.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the values.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: ``reduction`` is unknown.
    """

    plain_loss = "CrossEntropyLoss"
    """MMDetection's loss in exported configs, which reads the same predictions."""

    def __init__(
        self,
        *,
        per_image: bool = False,
        ignore_index: int | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice(Reduction, reduction=reduction)
        self.per_image = per_image
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        labels: Tensor | None = None,
        *,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss in one of the three ways of calling it.

        Args:
            logits: Raw logits; half precision is computed in float32.
            target: Masks or labels, see the class.
            labels: Class of each region [R], for a mask head.
            weight: What a pixel counts, at least 0, of the target's shape.
            avg_factor: Divisor of the sum of the values instead of their number; only where there
                are several values, with ``reduction="mean"``.
            reduction_override: Used instead of ``reduction``.

        Returns:
            A scalar; with ``"none"`` all values. Finite also where there is no region.

        Raises:
            ValueError: Shapes do not fit, targets are out of range, or options contradict.
            TypeError: A dtype is wrong.
        """
        if labels is None:
            values = self.values(logits, target, weight)
        else:
            values = self.mask_values(select_channel(logits, labels), target, weight)
        return self._reduce(values, avg_factor, reduction_override)

    @abstractmethod
    def values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Compute one value, or several, from logits and target without labels of regions."""

    @abstractmethod
    def mask_values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Compute one value, or several, from binary logits and masks [R, …] of regions."""

    def _reduce(
        self, values: Tensor, avg_factor: float | Tensor | None, override: str | None
    ) -> Tensor:
        if override is not None:
            check_choice(Reduction, reduction_override=override)
        reduction = override or self.reduction
        if avg_factor is not None and values.ndim == 0:
            raise ValueError(
                f"avg_factor={avg_factor} divides a sum of values, but {type(self).__name__} has "
                "one value over the whole batch: set per_image=True."
            )
        if values.numel() == 0 and reduction != "none":
            return self.loss_weight * values.sum()
        return self.loss_weight * weight_reduce_loss(values, None, reduction, avg_factor)


class BinaryLoss(SegmentationLoss):
    """Base of the losses on binary masks.

    Labels of several classes are taken one class against the rest, with a sigmoid for each: a
    pixel is foreground to the class of its label and background to all others.

    Args:
        per_class: For labels of several classes: a value of its own for each class, then reduced.
            False: one over all classes, in which large classes drown small ones.
        **options: Of :class:`SegmentationLoss`.
    """

    def __init__(self, *, per_class: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.per_class = per_class

    @abstractmethod
    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute the loss of a binary problem.

        Args:
            logits: Logits of the foreground, any shape.
            target: 0 or 1, of the same shape.
            **pixels: Options of :func:`tbd.losses.pixels.binary_pixels`.

        Returns:
            A scalar, or with ``per_image`` one value for each entry of the first axis.
        """

    def values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Compute the values of a binary problem or of labels of several classes."""
        if target.ndim != logits.ndim - 1:
            return self.mask_values(logits, target, weight)
        if self.per_image and logits.ndim == 2:
            raise ValueError(
                f"per_image=True needs logits [N, C, ...], but this head flattens all images to "
                f"{list(logits.shape)}: set per_image=False."
            )
        logits, masks, weight = class_pixels(
            logits, target, weight=weight, ignore_index=self.ignore_index
        )
        problem = [logits, masks, weight]
        if self.per_class:
            problem = [tensor.transpose(0, 1) for tensor in problem]
            if self.per_image:
                problem = [tensor.flatten(0, 1) for tensor in problem]
        logits, masks, weight = problem
        separate = self.per_image or self.per_class
        return self.binary(logits, masks, weight=weight, per_image=separate)

    def mask_values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Compute the values of a binary problem."""
        return self.binary(
            logits, target, weight=weight, per_image=self.per_image, ignore_index=self.ignore_index
        )


def select_channel(logits: Tensor, labels: Tensor) -> Tensor:
    """Take of each region the channel of its label.

    Args:
        logits: Logits [R, C, …].
        labels: Integer labels [R] in 0…C−1.

    Returns:
        Logits [R, …].

    Raises:
        ValueError: Shapes do not fit or a label is out of range.
        TypeError: The labels are not integers.
    """
    check_logits(logits)
    if logits.ndim < 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels must be [R] for logits [R, C, ...], but logits are {list(logits.shape)} and "
            f"labels {list(labels.shape)}; weights of pixels are the keyword weight."
        )
    check_integers(labels=labels)
    check_values(
        (labels >= 0) & (labels < logits.shape[1]),
        labels,
        f"labels must be in 0…{logits.shape[1] - 1}",
    )
    return logits[torch.arange(len(labels), device=labels.device), labels.long()]
