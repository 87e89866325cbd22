"""Lovász losses: the Jaccard loss of hard masks, extended to a convex function of pixel errors.

After Berman et al., "The Lovász-Softmax loss: a tractable surrogate for the optimization of the
intersection-over-union measure in neural networks", CVPR 2018.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tbd.losses.pixels import binary_pixels, class_pixels
from tbd.losses.segmentation import BinaryLoss, SegmentationLoss
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def lovasz_extension(errors: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Lovász extension of the Jaccard loss of a set of mispredicted pixels.

    For a set M of pixels the Jaccard loss is 1 − |T − M| / |T ∪ M|, with T the foreground and
    |·| the sum of weights; 0 for the empty set, also where T is empty. The extension is linear
    while the order of the errors stays the same, and equals the Jaccard loss where errors are 0
    and 1.

    Args:
        errors: Error of each pixel, at least 0, [..., P].
        target: 1 on the foreground, 0 elsewhere, [..., P].
        weight: What a pixel counts, at least 0, [..., P].

    Returns:
        Values [...]; 0 where nothing counts.
    """
    errors, order = errors.sort(dim=-1, descending=True)
    gradient = jaccard_gradient(target.gather(-1, order), weight.gather(-1, order))
    return (errors * gradient).sum(-1)


@torch.no_grad()
def jaccard_gradient(target: Tensor, weight: Tensor) -> Tensor:
    """Gradient of the Lovász extension with respect to errors in descending order.

    Its entry i is how much the Jaccard loss grows when pixel i is mispredicted as well as all
    pixels before it (algorithm 1 of the paper). The growths are computed as such and not as
    differences of Jaccard losses, which cancel on large images.

    Args:
        target: 1 on the foreground, 0 elsewhere, [..., P].
        weight: What a pixel counts, at least 0, [..., P].

    Returns:
        Gradient [..., P], at least 0; it sums to 1 unless nothing counts.
    """
    foreground, background = weight * target, weight * (1 - target)
    total = foreground.sum(-1, keepdim=True)
    union = total + background.cumsum(-1)
    union_before = union - background
    # Foreground pixels between are still hit; rounding of fractional weights must not go below 0.
    hits = (total - foreground.cumsum(-1)).clamp(min=0)
    jaccard = torch.where(union_before > 0, hits / union_before, 1)
    share = torch.where(union > 0, weight / union, 0)
    return share * (target + (1 - target) * jaccard)


def lovasz_hinge_loss(
    logits: Tensor,
    target: Tensor,
    *,
    per_image: bool = True,
    ignore_index: int | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Lovász hinge: the extension at the hinge errors max(0, 1 − logit·(2t − 1)).

    Args:
        logits: Logits of the foreground [N, H, W], or any shape.
        target: 0 or 1, of the same shape.
        per_image: One value for each image, as the authors do by default.
        ignore_index: Target of pixels that do not count.
        weight: What a pixel counts, at least 0, of the same shape; None: 1.

    Returns:
        Values [N] of at least 0, or a scalar without ``per_image``. An image without foreground
        has the largest of its errors, one in which nothing counts has 0.

    Raises:
        ValueError: Shapes differ or a target is out of range.
        TypeError: A dtype is wrong.
    """
    pixels = binary_pixels(
        logits,
        target,
        per_image=per_image,
        ignore_index=ignore_index,
        weight=weight,
        fractions=False,
    )
    errors = (1 - pixels.logits * (2 * pixels.target - 1)).relu()
    return lovasz_extension(errors, pixels.target, pixels.weight)


def lovasz_softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    classes: str | Sequence[int] = "present",
    per_image: bool = False,
    ignore_index: int | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Lovász softmax: the mean over classes of the extension at the errors |t_c − p_c|.

    Args:
        logits: Logits [N, C, H, W], or [N, C, ...], before the softmax.
        target: Integer labels [N, H, W], or [N, ...].
        classes: Which classes the mean is over: ``"present"``, those that the labels of the image
            (or batch) hold; ``"all"``; or a list of them, present or not.
        per_image: One value for each image.
        ignore_index: Label of pixels that do not count.
        weight: What a pixel counts, at least 0, [N, ...]; None: 1.

    Returns:
        A scalar in [0, 1], or with ``per_image`` values [N]; 0 where nothing counts.

    Raises:
        ValueError: Shapes do not fit, or labels or ``classes`` are out of range.
        TypeError: A dtype is wrong.
    """
    check_classes(classes)
    if per_image and logits.ndim == 2:
        raise ValueError(f"per_image=True needs logits [N, C, ...], not {list(logits.shape)}.")
    logits, masks, weights = class_pixels(logits, target, weight=weight, ignore_index=ignore_index)
    errors = (masks - logits.softmax(1)).abs()
    # [C, N·P], or [N, C, P].
    errors, masks, weights = (
        tensor.flatten(2) if per_image else tensor.transpose(0, 1).flatten(1)
        for tensor in (errors, masks, weights)
    )
    values = lovasz_extension(errors, masks, weights)
    if isinstance(classes, str):
        chosen = (masks * weights).sum(-1) > 0 if classes == "present" else torch.ones_like(values)
        chosen = chosen.to(values.dtype)
    else:
        outside = [c for c in classes if c >= logits.shape[1]]
        if outside:
            raise ValueError(
                f"classes={list(classes)} holds {outside}, but logits hold "
                f"{logits.shape[1]} classes."
            )
        chosen = torch.zeros_like(values)
        # One by one: a list would travel to the device, which waits for it.
        for number in classes:
            chosen[..., number] = 1
    return (values * chosen).sum(-1) / chosen.sum(-1).clamp(min=1)


def check_classes(classes: str | Sequence[int]) -> None:
    """Check the choice of classes of the Lovász softmax.

    Raises:
        ValueError: It is neither of the two words nor a list of different class numbers.
    """
    if isinstance(classes, str):
        valid = classes in ("present", "all")
    else:
        valid = 0 < len(set(classes)) == len(classes) and min(classes) >= 0
    if not valid:
        raise ValueError(
            f'classes must be "present", "all" or a list of different class numbers, but is '
            f"{classes!r}."
        )


@MODELS.register_module()
class LovaszHingeLoss(BinaryLoss):
    """Module of :func:`lovasz_hinge_loss`.

    Args:
        per_image: As there.
        ignore_index: As there.
        **options: Of :class:`tbd.losses.segmentation.BinaryLoss`.
    """

    def __init__(
        self, per_image: bool = True, ignore_index: int | None = None, **options: Any
    ) -> None:
        super().__init__(per_image=per_image, ignore_index=ignore_index, **options)

    def binary(self, logits: Tensor, target: Tensor, **pixels: Any) -> Tensor:
        """Compute :func:`lovasz_hinge_loss`."""
        return lovasz_hinge_loss(logits, target, **pixels)


@MODELS.register_module()
class LovaszSoftmaxLoss(SegmentationLoss):
    """Module of :func:`lovasz_softmax_loss`.

    For a mask head, which has one logit per pixel and class, the softmax is taken over that logit
    and a background of logit 0: classes 1 and 0.

    Args:
        classes: As there.
        per_image: As there.
        ignore_index: As there.
        **options: Of :class:`tbd.losses.segmentation.SegmentationLoss`.
    """

    def __init__(
        self,
        classes: str | Sequence[int] = "present",
        per_image: bool = False,
        ignore_index: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(per_image=per_image, ignore_index=ignore_index, **options)
        check_classes(classes)
        self.classes = classes

    def values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Compute :func:`lovasz_softmax_loss`."""
        return lovasz_softmax_loss(
            logits,
            target,
            classes=self.classes,
            per_image=self.per_image,
            ignore_index=self.ignore_index,
            weight=weight,
        )

    def mask_values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Compute the loss of a foreground against a background of logit 0."""
        binary_pixels(logits, target, ignore_index=self.ignore_index, fractions=False)
        logits = at_least_float32(logits)
        two_classes = torch.stack([torch.zeros_like(logits), logits], dim=1)
        return self.values(two_classes, target.long(), weight)
