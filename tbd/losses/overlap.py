"""Dice, Jaccard, Tversky and focal Tversky loss: one minus a soft overlap of two masks.

With p = σ(logit), target t and pixel weight w (1, or 0 where ignored)

    TP = Σ w·p·t,   FP = Σ w·p·(1−t),   FN = Σ w·(1−p)·t

and the Tversky index (TP + smooth) / (TP + alpha·FP + beta·FN + smooth) as one minus itself:
alpha weighs false positives and beta false negatives. Dice is alpha = beta = ½ with half of its
own smoothing, Jaccard alpha = beta = 1.

Where nothing counts (all pixels ignored) every loss is 0. With an empty target it is FP's share,
FP·alpha / (FP·alpha + smooth): it vanishes as the predictions do. Without smoothing it would be 1
however small they are; only if all underflow to 0 is it 0.
"""

from typing import Any

import torch
from torch import Tensor

from tbd.checks import check_not_negative, check_positive
from tbd.losses.pixels import Pixels, binary_pixels
from tbd.losses.power import safe_power
from tbd.losses.segmentation import BinaryLoss
from tbd.registry import MODELS


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    *,
    smooth: float = 1.0,
    **pixels: Any,
) -> Tensor:
    """Tversky loss 1 − (TP + smooth) / (TP + alpha·FP + beta·FN + smooth).

    Source: Salehi et al., "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", MLMI 2017, arXiv 1706.05721, whose best values are the defaults.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        alpha: Weight of false positives, above 0.
        beta: Weight of false negatives, above 0.
        smooth: Added to numerator and denominator of the index, at least 0, in pixels.
        **pixels: ``per_image``, ``weight``, ``ignore_index`` of
            :func:`tbd.losses.pixels.binary_pixels`.

    Returns:
        A scalar in [0, 1], or with ``per_image`` one for each image [N].

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    check_positive(alpha=alpha, beta=beta)
    check_not_negative(smooth=smooth)
    return tversky_distance(binary_pixels(logits, target, **pixels), alpha, beta, smooth)


def focal_tversky_loss(
    logits: Tensor,
    target: Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 0.75,
    *,
    smooth: float = 1.0,
    **pixels: Any,
) -> Tensor:
    """Tversky loss to the power of gamma.

    Source: Abraham and Khan, "A novel focal Tversky loss function with improved attention U-Net
    for lesion segmentation", ISBI 2019, arXiv 1810.07842. The paper writes the exponent as 1/γ
    with γ = 4/3, the authors' code as gamma = 0.75; here ``gamma`` is the exponent itself. Its α
    weighs false negatives, its β false positives.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        alpha: Weight of false positives, above 0.
        beta: Weight of false negatives, above 0.
        gamma: Exponent, above 0. Below 1 the gradient stays large until the overlap is nearly
            perfect, above 1 badly segmented regions dominate.
        smooth: As in :func:`tversky_loss`.
        **pixels: As in :func:`tversky_loss`.

    Returns:
        A scalar in [0, 1], or with ``per_image`` one for each image [N].

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    check_positive(gamma=gamma)
    return safe_power(tversky_loss(logits, target, alpha, beta, smooth=smooth, **pixels), gamma)


def dice_loss(logits: Tensor, target: Tensor, *, smooth: float = 1.0, **pixels: Any) -> Tensor:
    """Dice loss 1 − (2·TP + smooth) / (Σp + Σt + smooth).

    Introduced for networks by Milletari et al., "V-Net", 3DV 2016, arXiv 1606.04797, who square p
    and t in the denominator; the form without squares is Sørensen's and Dice's own, made soft.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        smooth: Added to numerator and denominator, at least 0, in pixels.
        **pixels: As in :func:`tversky_loss`.

    Returns:
        A scalar in [0, 1], or with ``per_image`` one for each image [N].

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    check_not_negative(smooth=smooth)
    return dice_distance(binary_pixels(logits, target, **pixels), smooth)


def jaccard_loss(logits: Tensor, target: Tensor, *, smooth: float = 1.0, **pixels: Any) -> Tensor:
    """Jaccard (IoU) loss 1 − (TP + smooth) / (TP + FP + FN + smooth).

    Source: Rahman and Wang, "Optimizing intersection-over-union in deep neural networks for image
    segmentation", ISVC 2016.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        smooth: Added to numerator and denominator, at least 0, in pixels.
        **pixels: As in :func:`tversky_loss`.

    Returns:
        A scalar in [0, 1], or with ``per_image`` one for each image [N].

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    return tversky_loss(logits, target, 1.0, 1.0, smooth=smooth, **pixels)


def tversky_distance(pixels: Pixels, alpha: float, beta: float, smooth: float) -> Tensor:
    """One minus the Tversky index, summed over the last axis."""
    weight, target = pixels.weight, pixels.target
    # 1 − p as σ(−logit), and the distance as a quotient rather than one minus a quotient: nothing
    # cancels where the masks nearly agree.
    present, absent = weight * pixels.logits.sigmoid(), weight * (-pixels.logits).sigmoid()
    hits = (present * target).sum(-1)
    errors = alpha * (present * (1 - target)).sum(-1) + beta * (absent * target).sum(-1)
    total = hits + errors + smooth
    return errors / total.clamp(min=torch.finfo(total.dtype).tiny)


def dice_distance(pixels: Pixels, smooth: float) -> Tensor:
    """One minus the Dice coefficient, summed over the last axis."""
    return tversky_distance(pixels, 0.5, 0.5, smooth / 2)


@MODELS.register_module()
class DiceLoss(BinaryLoss):
    """Module of :func:`dice_loss`.

    Args:
        smooth: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(self, smooth: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        check_not_negative(smooth=smooth)
        self.smooth = smooth

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`dice_loss`."""
        return dice_loss(logits, target, smooth=self.smooth, **pixels)


@MODELS.register_module()
class JaccardLoss(BinaryLoss):
    """Module of :func:`jaccard_loss`.

    Args:
        smooth: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(self, smooth: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        check_not_negative(smooth=smooth)
        self.smooth = smooth

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`jaccard_loss`."""
        return jaccard_loss(logits, target, smooth=self.smooth, **pixels)


@MODELS.register_module()
class TverskyLoss(BinaryLoss):
    """Module of :func:`tversky_loss`.

    Args:
        alpha: Weight of false positives, above 0.
        beta: Weight of false negatives, above 0.
        smooth: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(
        self, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        check_positive(alpha=alpha, beta=beta)
        check_not_negative(smooth=smooth)
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`tversky_loss`."""
        return tversky_loss(logits, target, self.alpha, self.beta, smooth=self.smooth, **pixels)


@MODELS.register_module()
class FocalTverskyLoss(BinaryLoss):
    """Module of :func:`focal_tversky_loss`.

    Args:
        alpha: Weight of false positives, above 0.
        beta: Weight of false negatives, above 0.
        gamma: Exponent, above 0; the paper's 1/γ.
        smooth: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 0.75,
        smooth: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_positive(alpha=alpha, beta=beta, gamma=gamma)
        check_not_negative(smooth=smooth)
        self.alpha, self.beta, self.gamma, self.smooth = alpha, beta, gamma, smooth

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`focal_tversky_loss`."""
        return focal_tversky_loss(
            logits, target, self.alpha, self.beta, self.gamma, smooth=self.smooth, **pixels
        )
