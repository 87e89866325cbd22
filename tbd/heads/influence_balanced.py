"""RoI head for losses that look at the features before the classifier."""

from typing import Any

from mmdet.models.losses import accuracy
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from torch import Tensor, nn

from tbd.registry import MODELS


@MODELS.register_module()
class InfluenceBalancedBBoxHead(Shared2FCBBoxHead):
    """MMDetection's ``Shared2FCBBoxHead`` that hands the classifier's input to the loss.

    Predictions, parameters and checkpoint keys are those of ``Shared2FCBBoxHead``, and with a
    loss that needs no features so are its losses: weights go from one to the other as they are.
    The features come from the forward pass that made the logits; none is made a second time. The
    head works in ``StandardRoIHead`` and, once per stage, in ``CascadeRoIHead``.

    Args:
        *args: Arguments of :class:`mmdet.models.roi_heads.bbox_heads.Shared2FCBBoxHead`.
        **kwargs: Its keyword arguments. ``loss_cls`` may be a loss of ``tbd`` that needs features,
            or a ``tbd.TwoPhaseLoss`` that comes to one.
    """

    plain_type = "Shared2FCBBoxHead"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._classified: tuple[Tensor, Tensor] | None = None
        self.fc_cls.register_forward_hook(self._remember)

    @property
    def custom_cls_channels(self) -> bool:
        """Whether the loss decides on the number of logits.

        Losses that need features claim so as well, to be able to refuse other heads.
        """
        return self.custom_activation

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of sampled RoIs, as ``Shared2FCBBoxHead`` does.

        Args:
            cls_score: Logits [N, num_classes + 1] as the last forward pass returned them.
            bbox_pred: Deltas [N, 4·num_classes], or [N, 4].
            rois: Boxes [N, 5], the image's number first.
            labels: Labels [N], num_classes for the background.
            label_weights: Weights [N].
            bbox_targets: Regression targets [N, 4].
            bbox_weights: Their weights [N, 4].
            reduction_override: Takes the place of the losses' reduction.

        Raises:
            RuntimeError: ``cls_score`` is not what the last forward pass returned.
        """
        classified, self._classified = self._classified, None
        rest = (rois, labels, label_weights, bbox_targets, bbox_weights, reduction_override)
        empty = cls_score is None or cls_score.numel() == 0
        if empty or not getattr(self.loss_cls, "needs_features", False):
            losses: dict[str, Tensor] = super().loss(cls_score, bbox_pred, *rest)
            return losses
        if classified is None or classified[0] is not cls_score:
            raise RuntimeError(
                "InfluenceBalancedBBoxHead.loss: cls_score is not the tensor that the last forward "
                "pass of the head returned, so its features are unknown"
            )
        losses = super().loss(None, bbox_pred, *rest)
        losses["loss_cls"] = self.loss_cls(
            cls_score,
            labels,
            classified[1],
            label_weights,
            avg_factor=(label_weights > 0).sum().clamp(min=1).float(),
            reduction_override=reduction_override,
        )
        losses["acc"] = accuracy(cls_score, labels)
        return losses

    def _remember(self, classifier: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        self._classified = logits, inputs[0]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a forward pass left behind: its graph can be neither copied nor saved."""
        return {**self.__dict__, "_classified": None}
