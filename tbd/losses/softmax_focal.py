"""Focal loss of softmax classifiers, as a module."""

from typing import Any

from torch import Tensor

from tbd.checks import check_choice, check_not_negative, check_positive
from tbd.losses.imbalance import QFrom, softmax_focal_loss
from tbd.losses.softmax_loss import SoftmaxLoss
from tbd.registry import MODELS


@MODELS.register_module()
class SoftmaxFocalLoss(SoftmaxLoss):
    """Focal loss of a softmax classifier: mean(scale·(1 − q)^gamma·CE).

    After Lin et al., "Focal loss for dense object detection", ICCV 2017; see
    :func:`tbd.losses.softmax_focal_loss` for the formula. Fits every head of MMDetection that
    classifies by softmax, the background being the last class::

        loss_cls=dict(type="tbd.SoftmaxFocalLoss", gamma=2.0)

    Args:
        gamma: Exponent, at least 0.
        scale: Factor, above 0; 10 in the form published beside the influence-balanced loss.
        class_weight: See :class:`tbd.losses.softmax_loss.SoftmaxLoss`.
        q_from: ``"cross_entropy"``: q = exp(−weighted CE), the published form;
            ``"probability"``: q is the probability of the true class.
        **common: The other arguments of :class:`tbd.losses.softmax_loss.SoftmaxLoss`.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        gamma: float,
        scale: float = 1.0,
        class_weight: Any = None,
        *,
        q_from: QFrom = "cross_entropy",
        **common: Any,
    ) -> None:
        super().__init__(class_weight, **common)
        check_not_negative(gamma=gamma)
        check_positive(scale=scale)
        check_choice(QFrom, q_from=q_from)
        self.gamma = gamma
        self.scale = scale
        self.q_from: QFrom = q_from

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: [N, C].
            target: Integer labels [N] in 0…C−1, or ``ignore_index``.
            weight: Weight of each sample [N].
            avg_factor: What a mean divides by, in place of the number of samples.
            reduction_override: Takes the place of ``reduction``.
            ignore_index: Takes the place of the module's.

        Returns:
            A scalar, or with reduction ``"none"`` one value a sample [N].
        """

        def per_sample(logits: Tensor, target: Tensor) -> Tensor:
            return softmax_focal_loss(
                logits,
                target,
                self.gamma,
                self.scale,
                self._class_weight(logits),
                self.q_from,
                reduction="none",
            )

        return self._reduced(
            per_sample, logits, target, (), weight, avg_factor, reduction_override, ignore_index
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        own = f"gamma={self.gamma}, scale={self.scale}, q_from={self.q_from}"
        return f"{own}, {super().extra_repr()}"
