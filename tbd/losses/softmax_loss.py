"""What the imbalance losses share as modules: MMDetection's conventions and class weights."""

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from tbd.checks import check_choice, check_not_negative
from tbd.losses.checks import Reduction
from tbd.losses.class_balance import class_balanced_weights

_IGNORE_INDEX = -100


class SoftmaxLoss(nn.Module):
    """Base of the losses of softmax classifiers, which MMDetection's heads take as ``loss_cls``.

    A subclass computes one value per sample; weighing, ignoring and averaging are done here, as
    :class:`mmdet.models.losses.CrossEntropyLoss` does them.

    Args:
        class_weight: Weight of each class [C], at least 0; None: 1. In a detector the background
            is the last class.
        class_counts: Number of training samples of each class [C], from which
            :func:`tbd.losses.class_balanced_weights` makes the class weights; ``"auto"``: counted
            in the training set's annotations by :class:`tbd.engine.ClassCountsHook`. Not together
            with ``class_weight``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        loss_weight: Factor of the result, at least 0.
        ignore_index: Label of samples that do not count; None: −100.
        avg_non_ignore: Leave ignored samples out of the number that a mean without ``avg_factor``
            divides by, as PyTorch does and MMDetection by default does not.

    Raises:
        ValueError: An argument is out of its range.
    """

    use_sigmoid = False
    plain_loss = "CrossEntropyLoss"
    """MMDetection's loss in exported configs, which reads the same predictions."""

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        class_counts: Sequence[float] | Literal["auto"] | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__()
        check_choice(Reduction, reduction=reduction)
        check_not_negative(loss_weight=loss_weight)
        if class_weight is not None:
            if class_counts is not None:
                raise ValueError(
                    f"class_weight={class_weight} and class_counts={class_counts}: give one of them"
                )
            check_not_negative(
                **{f"class_weight[{i}]": float(value) for i, value in enumerate(class_weight)}
            )
        if ignore_index is not None and not avg_non_ignore and reduction == "mean":
            warnings.warn(
                f"ignore_index={ignore_index}: a mean without avg_factor still divides by all "
                "samples, as MMDetection's losses do; avg_non_ignore=True divides by those that "
                "count",
                stacklevel=3,
            )
        # No buffer: it would appear in checkpoints and be rounded by half().
        self.class_weight = None if class_weight is None else tuple(map(float, class_weight))
        self.awaits_class_counts = isinstance(class_counts, str)
        if isinstance(class_counts, str):
            check_choice(Literal["auto"], class_counts=class_counts)
        elif class_counts is not None:
            self.set_class_counts(class_counts)
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.ignore_index = _IGNORE_INDEX if ignore_index is None else ignore_index
        self.avg_non_ignore = avg_non_ignore

    def set_class_counts(self, counts: Sequence[float], min_count: float | None = None) -> None:
        """Set the class weights from class counts, see :func:`class_balanced_weights`."""
        self.class_weight = tuple(class_balanced_weights(counts, min_count).tolist())
        self.awaits_class_counts = False

    def extra_repr(self) -> str:
        """Show the settings that all these losses have."""
        weights = "auto" if self.awaits_class_counts else self.class_weight
        return (
            f"class_weight={weights}, reduction={self.reduction}, loss_weight={self.loss_weight}, "
            f"ignore_index={self.ignore_index}"
        )

    def _reduced(
        self,
        per_sample: Callable[..., Tensor],
        logits: Tensor,
        target: Tensor,
        features: tuple[Tensor, ...],
        weight: Tensor | None,
        avg_factor: float | Tensor | None,
        reduction_override: str | None,
        ignore_index: int | None,
    ) -> Tensor:
        """Weigh, mask and average what ``per_sample(logits, target, *features)`` gives."""
        reduction = self.reduction if reduction_override is None else reduction_override
        check_choice(Reduction, reduction_override=reduction)
        if weight is not None and weight.shape != target.shape:
            raise ValueError(
                f"weight must have the shape of target {list(target.shape)}, but is "
                f"{list(weight.shape)}."
            )
        ignored = target == (self.ignore_index if ignore_index is None else ignore_index)
        # Masked before the loss, so that not even NaN in them reaches the gradient.
        loss = per_sample(
            _masked(logits, ignored),
            target.masked_fill(ignored, 0),
            *(_masked(tensor, ignored) for tensor in features),
        ).masked_fill(ignored, 0)
        if weight is not None:
            weight = weight.to(loss).masked_fill(ignored, 0)
        if avg_factor is None and self.avg_non_ignore and reduction == "mean":
            avg_factor = (~ignored).sum().to(loss)
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)

    def _class_weight(self, logits: Tensor) -> Tensor | None:
        if self.awaits_class_counts:
            raise RuntimeError(
                f"{type(self).__name__}: class_counts='auto', but nothing has counted the classes: "
                "add custom_hooks=[dict(type='tbd.ClassCountsHook')], or give class_counts=[...]"
            )
        if self.class_weight is None:
            return None
        return _placed(self.class_weight, logits.device)


@lru_cache(maxsize=64)
def _placed(class_weight: tuple[float, ...], device: torch.device) -> Tensor:
    """Copy class weights to a device once, as each copy makes the host wait for the device."""
    with torch.inference_mode(False):
        return torch.tensor(class_weight, dtype=torch.float64).to(device)


def _masked(tensor: Tensor, ignored: Tensor) -> Tensor:
    """Set the rows of ignored samples to 0; wrong shapes are left to the loss to complain of."""
    if tensor.shape[:1] != ignored.shape:
        return tensor
    return tensor.masked_fill(ignored.view(-1, *[1] * (tensor.ndim - 1)), 0)
