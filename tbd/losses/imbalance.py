"""Losses of softmax classifiers for imbalanced classes, as pure functions.

Each is a product of per-sample parts: the weighted cross entropy, a focal factor, an influence
factor. All are computed from the margin z = logsumexp of the other classes' logits − the true
class's logit, for which cross entropy is log(1 + eᶻ) and the error 1 − p_y is 1/(1 + e⁻ᶻ): exact
at both ends, where 1 − softmax and log of softmax lose every digit.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tbd.checks import check_choice, check_not_negative, check_positive
from tbd.losses.checks import Reduction, check_integers, check_values
from tbd.losses.pixels import check_logits
from tbd.losses.power import safe_power
from tbd.precision import at_least_float32

QFrom = Literal["cross_entropy", "probability"]
"""Where focal factors take q from: exp(−weighted CE), or the true class's probability."""


class TrueClass(NamedTuple):
    """How a softmax classifier sees the true class of each sample.

    Args:
        cross_entropy: −log p_y [N], without class weights.
        error: 1 − p_y [N], half of ‖p − y‖₁.
    """

    cross_entropy: Tensor
    error: Tensor


def true_class(logits: Tensor, target: Tensor) -> TrueClass:
    """Compute cross entropy and error of each sample.

    Args:
        logits: [N, C] of at least two classes; half precision is computed in float32.
        target: Integer labels [N] in 0…C−1.

    Raises:
        ValueError: Shapes do not fit, a label is out of range, or, under PyTorch's anomaly
            detection, a logit is NaN.
        TypeError: A dtype is wrong.
    """
    check_logits(logits)
    _check_target(logits, target)
    logits = at_least_float32(logits)
    index = target.long()[:, None]
    own = logits.gather(1, index)[:, 0]
    margin = logits.scatter(1, index, -torch.inf).logsumexp(dim=1) - own
    # Not softplus, which returns its argument from 20 on.
    return TrueClass(-F.logsigmoid(-margin), margin.sigmoid())


def influence_factor(error: Tensor, features: Tensor, alpha: float, epsilon: float) -> Tensor:
    """Inverse of a sample's influence on the classifier: alpha / (‖p − y‖₁·‖h‖₁ + epsilon).

    ‖p − y‖₁·‖h‖₁ is the L1 norm of the gradient of the cross entropy with respect to the weights
    of the last layer (Park et al., ICCV 2021, section 3).

    Args:
        error: 1 − p_y [N], see :func:`true_class`.
        features: Input of the last layer [N, D], or its L1 norms [N].
        alpha: Scale, above 0.
        epsilon: Bounds the factor to alpha / epsilon; above 0.

    Raises:
        ValueError: Shapes do not fit, or a parameter is out of range.
        TypeError: ``features`` are not floating point.
    """
    check_positive(alpha=alpha, epsilon=epsilon)
    if features.ndim not in (1, 2) or len(features) != len(error):
        raise ValueError(
            f"features must be [N, D] or their L1 norms [N], N = {len(error)} as in logits, but "
            f"are {list(features.shape)}."
        )
    if not features.is_floating_point():
        raise TypeError(f"features must be floating point, not {features.dtype}.")
    features = at_least_float32(features)
    norms = features.abs().sum(dim=1) if features.ndim == 2 else features
    if torch.is_anomaly_enabled() and not (norms >= 0).all():
        raise ValueError("features hold NaN, or L1 norms below 0.")
    return alpha / (2 * error * norms + epsilon)


def focal_factor(one_minus_q: Tensor, gamma: float) -> Tensor:
    """Weight (1 − q)^gamma of a sample (Lin et al., ICCV 2017, equation 4).

    Args:
        one_minus_q: 1 − q [N], in [0, 1].
        gamma: Exponent, at least 0; 0 weighs all samples alike.

    Raises:
        ValueError: ``gamma`` is negative.
    """
    check_not_negative(gamma=gamma)
    return safe_power(one_minus_q, gamma)


def softmax_focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float,
    scale: float = 1.0,
    class_weight: Tensor | None = None,
    q_from: QFrom = "cross_entropy",
    reduction: Reduction = "mean",
) -> Tensor:
    """Focal loss of a softmax classifier: scale·(1 − q)^gamma·CE.

    After Lin et al., "Focal loss for dense object detection", ICCV 2017, for more than two
    classes. The form published beside the influence-balanced loss has a scale of 10.

    Args:
        logits: [N, C].
        target: Integer labels [N].
        gamma: Exponent, at least 0; 0 gives scale·CE.
        scale: Factor, above 0.
        class_weight: Weight of each class [C], at least 0; None: 1.
        q_from: With ``"cross_entropy"``, the published form, q = exp(−CE) of the weighted cross
            entropy: a large class weight then also counts as a hard sample. With
            ``"probability"``, q is the probability of the true class.
        reduction: ``"mean"`` and ``"sum"`` give a scalar, ``"none"`` one value a sample [N].

    Raises:
        ValueError: Shapes do not fit, or a label or parameter is out of range.
        TypeError: A dtype is wrong.
    """
    seen = true_class(logits, target)
    weighted = _weigh(seen.cross_entropy, logits, target, class_weight)
    return _reduce(_focal(seen, weighted, gamma, scale, q_from), reduction)


def influence_balanced_loss(
    logits: Tensor,
    target: Tensor,
    features: Tensor,
    alpha: float = 1000.0,
    epsilon: float = 1e-3,
    class_weight: Tensor | None = None,
    detach_factor: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy divided by a sample's influence: CE·alpha / (‖p − y‖₁·‖h‖₁ + epsilon).

    Park et al., "Influence-balanced loss for imbalanced visual classification", ICCV 2021,
    section 3.

    Args:
        logits: [N, C].
        target: Integer labels [N].
        features: Input h of the last layer [N, D], or its L1 norms [N].
        alpha: Scale, above 0.
        epsilon: Bounds the factor to alpha / epsilon; above 0.
        class_weight: Weight of each class [C], at least 0; None: 1.
        detach_factor: Take the factor as a constant. By default the gradient flows through it,
            as in the published code; it then also makes features longer.
        reduction: ``"mean"`` and ``"sum"`` give a scalar, ``"none"`` one value a sample [N].

    Raises:
        ValueError: Shapes do not fit, or a label or parameter is out of range.
        TypeError: A dtype is wrong.
    """
    seen = true_class(logits, target)
    factor = influence_factor(seen.error, features, alpha, epsilon)
    weighted = _weigh(seen.cross_entropy, logits, target, class_weight)
    return _reduce(weighted * (factor.detach() if detach_factor else factor), reduction)


def influence_balanced_focal_loss(
    logits: Tensor,
    target: Tensor,
    features: Tensor,
    alpha: float,
    gamma: float,
    epsilon: float = 1e-3,
    scale: float = 1.0,
    class_weight: Tensor | None = None,
    detach_factor: bool = False,
    q_from: QFrom = "cross_entropy",
    reduction: Reduction = "mean",
) -> Tensor:
    """Focal loss divided by a sample's influence, the product of the two losses above.

    scale·(1 − q)^gamma·CE·alpha / (‖p − y‖₁·‖h‖₁ + epsilon); see :func:`softmax_focal_loss` and
    :func:`influence_balanced_loss` for the arguments. The authors publish it with a scale of 1.

    Raises:
        ValueError: Shapes do not fit, or a label or parameter is out of range.
        TypeError: A dtype is wrong.
    """
    seen = true_class(logits, target)
    factor = influence_factor(seen.error, features, alpha, epsilon)
    weighted = _weigh(seen.cross_entropy, logits, target, class_weight)
    focal = _focal(seen, weighted, gamma, scale, q_from)
    return _reduce(focal * (factor.detach() if detach_factor else factor), reduction)


def _focal(seen: TrueClass, weighted: Tensor, gamma: float, scale: float, q_from: QFrom) -> Tensor:
    check_positive(scale=scale)
    check_choice(QFrom, q_from=q_from)
    one_minus_q = seen.error if q_from == "probability" else -torch.expm1(-weighted)
    return scale * focal_factor(one_minus_q, gamma) * weighted


def _weigh(loss: Tensor, logits: Tensor, target: Tensor, class_weight: Tensor | None) -> Tensor:
    if class_weight is None:
        return loss
    if class_weight.shape != logits.shape[1:]:
        raise ValueError(
            f"class_weight has {class_weight.numel()} entries (shape {list(class_weight.shape)}), "
            f"but the logits have {logits.shape[1]} classes. In a detector the last one is the "
            "background."
        )
    return class_weight.to(loss)[target.long()] * loss


def _reduce(loss: Tensor, reduction: Reduction) -> Tensor:
    check_choice(Reduction, reduction=reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _check_target(logits: Tensor, target: Tensor) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"logits must be [N, C] of at least two classes, but are {list(logits.shape)}."
        )
    if target.shape != logits.shape[:1]:
        raise ValueError(
            f"target must be labels [N] for logits [N, C], but logits are {list(logits.shape)} and "
            f"target is {list(target.shape)}."
        )
    check_integers(target=target)
    check_values(
        (target >= 0) & (target < logits.shape[1]),
        target,
        f"target must be labels in 0…{logits.shape[1] - 1}",
    )
