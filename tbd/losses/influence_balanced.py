"""Influence-balanced losses, as modules."""

from typing import Any, NoReturn

from torch import Tensor

from tbd.checks import check_choice, check_not_negative, check_positive
from tbd.losses.imbalance import (
    QFrom,
    influence_balanced_focal_loss,
    influence_balanced_loss,
)
from tbd.losses.softmax_loss import SoftmaxLoss
from tbd.registry import MODELS


@MODELS.register_module()
class InfluenceBalancedLoss(SoftmaxLoss):
    """Cross entropy divided by a sample's influence on the classifier.

    mean(CE·alpha / (‖p − y‖₁·‖h‖₁ + epsilon)), Park et al., "Influence-balanced loss for
    imbalanced visual classification", ICCV 2021; see
    :func:`tbd.losses.influence_balanced_loss` for the formula. Made for the second phase of a
    training that begins with plain cross entropy, in a head that hands it the features::

        bbox_head=dict(
            type="tbd.InfluenceBalancedBBoxHead",
            loss_cls=dict(
                type="tbd.TwoPhaseLoss",
                first=dict(type="CrossEntropyLoss"),
                second=dict(type="tbd.InfluenceBalancedLoss", class_counts="auto"),
            ),
        )

    Args:
        alpha: Scale, above 0.
        epsilon: Bounds the factor to alpha / epsilon; above 0.
        class_weight: See :class:`tbd.losses.softmax_loss.SoftmaxLoss`.
        detach_factor: Take the factor as a constant; by default the gradient flows through it, as
            in the published code.
        **common: The other arguments of :class:`tbd.losses.softmax_loss.SoftmaxLoss`.

    Raises:
        ValueError: An argument is out of its range.
    """

    needs_features = True
    # Read by MMDetection's RoI heads when they are built.
    custom_cls_channels = True

    def __init__(
        self,
        alpha: float = 1000.0,
        epsilon: float = 1e-3,
        class_weight: Any = None,
        *,
        detach_factor: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(class_weight, **common)
        check_positive(alpha=alpha, epsilon=epsilon)
        self.alpha = alpha
        self.epsilon = epsilon
        self.detach_factor = detach_factor

    def get_cls_channels(self, num_classes: int) -> NoReturn:
        """Refuse a head that would hand its label weights over as features.

        Raises:
            TypeError: Always. The head of this project does not ask.
        """
        raise TypeError(
            f"loss_cls: {type(self).__name__} needs the features before the classifier, which "
            "only bbox_head.type='tbd.InfluenceBalancedBBoxHead' hands it"
        )

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        features: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: [N, C].
            target: Integer labels [N] in 0…C−1, or ``ignore_index``.
            features: Input of the layer that made the logits [N, D], or its L1 norms [N].
            weight: Weight of each sample [N].
            avg_factor: What a mean divides by, in place of the number of samples.
            reduction_override: Takes the place of ``reduction``.
            ignore_index: Takes the place of the module's.

        Returns:
            A scalar, or with reduction ``"none"`` one value a sample [N].
        """
        return self._reduced(
            self._per_sample,
            logits,
            target,
            (features,),
            weight,
            avg_factor,
            reduction_override,
            ignore_index,
        )

    def _per_sample(self, logits: Tensor, target: Tensor, features: Tensor) -> Tensor:
        return influence_balanced_loss(
            logits,
            target,
            features,
            self.alpha,
            self.epsilon,
            self._class_weight(logits),
            self.detach_factor,
            reduction="none",
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        own = f"alpha={self.alpha}, epsilon={self.epsilon}, detach_factor={self.detach_factor}"
        return f"{own}, {super().extra_repr()}"


@MODELS.register_module()
class InfluenceBalancedFocalLoss(InfluenceBalancedLoss):
    """Focal loss divided by a sample's influence on the classifier.

    mean(scale·(1 − q)^gamma·CE·alpha / (‖p − y‖₁·‖h‖₁ + epsilon)), the product of
    :class:`InfluenceBalancedLoss` and :class:`tbd.losses.SoftmaxFocalLoss`.

    Args:
        alpha: Scale of the influence factor, above 0.
        gamma: Exponent of the focal factor, at least 0.
        epsilon: Bounds the influence factor to alpha / epsilon; above 0.
        scale: Scale of the focal factor, above 0; published as 1.
        class_weight: See :class:`tbd.losses.softmax_loss.SoftmaxLoss`.
        q_from: See :class:`tbd.losses.SoftmaxFocalLoss`.
        **common: The other arguments of :class:`InfluenceBalancedLoss`.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        alpha: float,
        gamma: float,
        epsilon: float = 1e-3,
        scale: float = 1.0,
        class_weight: Any = None,
        *,
        q_from: QFrom = "cross_entropy",
        **common: Any,
    ) -> None:
        super().__init__(alpha, epsilon, class_weight, **common)
        check_not_negative(gamma=gamma)
        check_positive(scale=scale)
        check_choice(QFrom, q_from=q_from)
        self.gamma = gamma
        self.scale = scale
        self.q_from: QFrom = q_from

    def _per_sample(self, logits: Tensor, target: Tensor, features: Tensor) -> Tensor:
        return influence_balanced_focal_loss(
            logits,
            target,
            features,
            self.alpha,
            self.gamma,
            self.epsilon,
            self.scale,
            self._class_weight(logits),
            self.detach_factor,
            self.q_from,
            reduction="none",
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        own = f"gamma={self.gamma}, scale={self.scale}, q_from={self.q_from}"
        return f"{own}, {super().extra_repr()}"
