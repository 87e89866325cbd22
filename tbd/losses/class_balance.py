"""Class weights from class counts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tbd.checks import check_positive


def class_balanced_weights(
    counts: Sequence[float] | Tensor, min_count: float | None = None
) -> Tensor:
    """Weigh each class by the inverse of its count.

    w_k ∝ 1/n_k, normalised so that the weights sum to the number of classes, as Park et al.,
    "Influence-balanced loss for imbalanced visual classification", ICCV 2021, section 3, do.

    Args:
        counts: Number of samples of each class [C].
        min_count: Smaller counts are raised to this one, which must be above 0: the choice of a
            weight for classes without samples. None: a count of 0 is an error.

    Returns:
        Weights [C], float64, on the CPU.

    Raises:
        ValueError: There is no class, a count is negative or not finite, or a count is 0 and
            ``min_count`` does not say what to do.
    """
    values = torch.as_tensor(counts, dtype=torch.float64).detach().cpu()
    if values.ndim != 1 or values.numel() == 0:
        raise ValueError(f"counts must be one number per class, but have shape {[*values.shape]}.")
    if not (values.isfinite() & (values >= 0)).all():
        raise ValueError(f"counts must be finite and not negative, but are {values.tolist()}.")
    if min_count is not None:
        check_positive(min_count=min_count)
        values = values.clamp(min=min_count)
    empty = (values == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"counts: classes {empty} have no samples, so their weight 1/0 does not exist; leave "
            "them out, or set min_count (1 weighs them as classes with one sample)."
        )
    weights = 1 / values
    return weights * (len(values) / weights.sum())


def with_background(counts: Sequence[float]) -> list[float]:
    """Append a count for the background, which detectors tell apart as their last class.

    Annotations do not count background. How much of it is seen is set by the sampler of a RoI
    head, on purpose; class weights are to balance the foreground classes among one another and to
    leave the balance of foreground and background as it is. That is what the mean of the
    foreground's counts does: its weight, c/mean(n), equals the mean weight of a foreground sample,
    Σ n_k·(c/n_k) / Σ n_k.

    Args:
        counts: Number of samples of each foreground class, at least one.

    Returns:
        The counts and, last, their mean.
    """
    return [*counts, sum(counts) / len(counts)]
