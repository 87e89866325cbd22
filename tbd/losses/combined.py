"""Cross entropy and overlap together: BCE + Dice, and the combo loss."""

from typing import Any

import torch
from torch import Tensor

from tbd.checks import check_fraction, check_not_negative, check_positive
from tbd.losses.binary_focal import cross_entropies
from tbd.losses.overlap import dice_distance
from tbd.losses.pixels import binary_pixels
from tbd.losses.segmentation import BinaryLoss
from tbd.registry import MODELS


def bce_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    bce_weight: float = 1.0,
    dice_weight: float = 1.0,
    smooth: float = 1.0,
    **pixels: Any,
) -> Tensor:
    """Mean binary cross entropy plus Dice loss.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        bce_weight: Factor of the cross entropy, at least 0.
        dice_weight: Factor of the Dice loss, at least 0.
        smooth: Of the Dice loss, at least 0, in pixels.
        **pixels: ``per_image``, ``weight``, ``ignore_index`` of
            :func:`tbd.losses.pixels.binary_pixels`.

    Returns:
        A scalar of at least 0, or with ``per_image`` one for each image [N]. 0 where no pixel
        counts.

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    check_not_negative(bce_weight=bce_weight, dice_weight=dice_weight, smooth=smooth)
    problem = binary_pixels(logits, target, **pixels)
    entropy = problem.mean(torch.add(*cross_entropies(problem)))
    return bce_weight * entropy + dice_weight * dice_distance(problem, smooth)


def combo_loss(
    logits: Tensor,
    target: Tensor,
    alpha: float = 0.5,
    ce_ratio: float = 0.5,
    *,
    smooth: float = 1.0,
    **pixels: Any,
) -> Tensor:
    """Combo loss: weighted cross entropy minus the Dice coefficient.

        ce_ratio · mean(−alpha·t·log p − (1−alpha)·(1−t)·log(1−p)) − (1−ce_ratio) · Dice

    Source: Taghanaki et al., "Combo loss: handling input and output imbalance in multi-organ
    segmentation", Computerized Medical Imaging and Graphics 75, 2019, arXiv 1805.02798. Its α and
    β are ``ce_ratio`` and ``alpha`` here.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        alpha: Weight of positives in the cross entropy, in (0, 1]; negatives weigh 1 − alpha.
            Above ½ it punishes false negatives more than false positives.
        ce_ratio: Share of the cross entropy, in [0, 1].
        smooth: Of the Dice coefficient, at least 0, in pixels.
        **pixels: ``per_image``, ``weight``, ``ignore_index`` of
            :func:`tbd.losses.pixels.binary_pixels`.

    Returns:
        A scalar, or with ``per_image`` one for each image [N]. A perfect prediction has, and an
        image in which no pixel counts is given, the smallest value: ce_ratio − 1.

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    _check(alpha, ce_ratio, smooth)
    problem = binary_pixels(logits, target, **pixels)
    positive, negative = cross_entropies(problem)
    entropy = problem.mean(alpha * positive + (1 - alpha) * negative)
    coefficient = 1 - dice_distance(problem, smooth)
    return ce_ratio * entropy - (1 - ce_ratio) * coefficient


def _check(alpha: float, ce_ratio: float, smooth: float) -> None:
    check_positive(alpha=alpha)
    check_fraction(alpha=alpha, ce_ratio=ce_ratio)
    check_not_negative(smooth=smooth)


@MODELS.register_module()
class BCEDiceLoss(BinaryLoss):
    """Module of :func:`bce_dice_loss`.

    Args:
        bce_weight: As there.
        dice_weight: As there.
        smooth: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(
        self,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        smooth: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_not_negative(bce_weight=bce_weight, dice_weight=dice_weight, smooth=smooth)
        self.bce_weight, self.dice_weight, self.smooth = bce_weight, dice_weight, smooth

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`bce_dice_loss`."""
        return bce_dice_loss(
            logits,
            target,
            bce_weight=self.bce_weight,
            dice_weight=self.dice_weight,
            smooth=self.smooth,
            **pixels,
        )


@MODELS.register_module()
class ComboLoss(BinaryLoss):
    """Module of :func:`combo_loss`.

    Args:
        alpha: As there.
        ce_ratio: As there.
        smooth: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(
        self, alpha: float = 0.5, ce_ratio: float = 0.5, smooth: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        _check(alpha, ce_ratio, smooth)
        self.alpha, self.ce_ratio, self.smooth = alpha, ce_ratio, smooth

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`combo_loss`."""
        return combo_loss(logits, target, self.alpha, self.ce_ratio, smooth=self.smooth, **pixels)
