"""Binary cross entropy on pixels and its focal form."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tbd.checks import check_fraction, check_not_negative, check_positive
from tbd.losses.pixels import Pixels, binary_pixels
from tbd.losses.power import safe_power
from tbd.losses.segmentation import BinaryLoss
from tbd.registry import MODELS


def cross_entropies(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Cross entropy of every pixel, split into its two terms.

    Returns:
        −t·log p, which positives have, and −(1−t)·log(1−p), which negatives have.
    """
    # logsigmoid at both ends, since softplus switches to a straight line at 20.
    positive = -pixels.target * F.logsigmoid(pixels.logits)
    negative = (pixels.target - 1) * F.logsigmoid(-pixels.logits)
    return positive, negative


def binary_focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float | None = None,
    *,
    pixelwise: bool = True,
    **pixels: Any,
) -> Tensor:
    """Focal loss of binary masks, with BCE the binary cross entropy.

    Pixelwise it is that of Lin et al., "Focal loss for dense object detection", ICCV 2017,
    equation 5: the mean over pixels of α_t·(1 − exp(−BCE))^gamma·BCE, where exp(−BCE) is the
    probability of the true class and α_t is alpha for positives, 1 − alpha for negatives. A form
    published for segmentation applies the factor once, to the mean:
    alpha·(1 − exp(−mean BCE))^gamma·mean BCE.

    Args:
        logits: Logits of the foreground, any shape.
        target: 0 or 1, of the same shape.
        gamma: Exponent of the focal factor, at least 0; 0 is the (weighted) cross entropy.
        alpha: Pixelwise the balance of positives and negatives in [0, 1], above 0; else a plain
            factor above 0. None: no weighing.
        pixelwise: Apply the factor to each pixel, not to the mean.
        **pixels: ``per_image``, ``weight``, ``ignore_index`` of
            :func:`tbd.losses.pixels.binary_pixels`.

    Returns:
        A scalar of at least 0, or with ``per_image`` one for each image [N]. 0 where no pixel
        counts.

    Raises:
        ValueError: A parameter or input is out of its range, or shapes differ.
        TypeError: A dtype is wrong.
    """
    _check(gamma, alpha, pixelwise)
    problem = binary_pixels(logits, target, **pixels)
    entropy = torch.add(*cross_entropies(problem))
    if not pixelwise:
        entropy = problem.mean(entropy)
    loss = safe_power(-torch.expm1(-entropy), gamma) * entropy
    if not pixelwise:
        return loss if alpha is None else alpha * loss
    if alpha is not None:
        loss = (alpha * problem.target + (1 - alpha) * (1 - problem.target)) * loss
    return problem.mean(loss)


def _check(gamma: float, alpha: float | None, pixelwise: bool) -> None:
    check_not_negative(gamma=gamma)
    if alpha is not None:
        check_positive(alpha=alpha)
        if pixelwise:
            check_fraction(alpha=alpha)


@MODELS.register_module()
class BinaryFocalLoss(BinaryLoss):
    """Module of :func:`binary_focal_loss`.

    Args:
        gamma: As there.
        alpha: As there.
        pixelwise: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = None,
        pixelwise: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        _check(gamma, alpha, pixelwise)
        self.gamma, self.alpha, self.pixelwise = gamma, alpha, pixelwise

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`binary_focal_loss`."""
        return binary_focal_loss(
            logits, target, self.gamma, self.alpha, pixelwise=self.pixelwise, **pixels
        )
