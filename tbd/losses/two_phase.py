"""A loss that is exchanged for another one during training."""

from typing import Any, cast

from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor, nn

from tbd.registry import MODELS


@MODELS.register_module()
class TwoPhaseLoss(nn.Module):
    """One classification loss up to some time of the training, another one from then on.

    So the influence-balanced loss is trained: cross entropy first, until the classifier can tell
    which samples are influential (Park et al., ICCV 2021). When to change is the business of
    :class:`tbd.engine.LossPhaseHook`. Both phases read the logits by softmax.

    Args:
        first: Config of the loss of the first phase, of MMDetection or ``tbd``.
        second: Config of the loss of the second phase.

    Raises:
        ValueError: A phase reads the logits in another way.
    """

    use_sigmoid = False
    plain_loss = "CrossEntropyLoss"
    """MMDetection's loss in exported configs, which reads the same predictions."""

    def __init__(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        super().__init__()
        self.first: nn.Module = MMDET_MODELS.build(first)
        self.second: nn.Module = MMDET_MODELS.build(second)
        self.second_phase: bool | None = None
        for name, loss in (("first", self.first), ("second", self.second)):
            # Dense heads read use_sigmoid from the config, which has none for both phases.
            for kind in ("use_sigmoid", "use_mask", "custom_activation"):
                if getattr(loss, kind, False):
                    raise ValueError(
                        f"loss_cls.{name}: {type(loss).__name__} has {kind}=True, but both phases "
                        "must be losses of softmax classifiers"
                    )

    @property
    def current(self) -> nn.Module:
        """The loss of the current phase.

        Raises:
            RuntimeError: Nobody has said which one that is.
        """
        if self.second_phase is None:
            raise RuntimeError(
                "TwoPhaseLoss does not know its phase: add custom_hooks=[dict(type="
                "'tbd.LossPhaseHook', epoch=...)], or set second_phase of the module"
            )
        return self.second if self.second_phase else self.first

    @property
    def needs_features(self) -> bool:
        """Whether the loss of the current phase takes features after the target."""
        return getattr(self.current, "needs_features", False)

    @property
    def custom_cls_channels(self) -> bool:
        """Whether MMDetection's RoI heads are to call :meth:`get_cls_channels`."""
        return any(
            getattr(loss, "custom_cls_channels", False) for loss in (self.first, self.second)
        )

    def get_cls_channels(self, num_classes: int) -> int:
        """Let the phases refuse a head that hands them no features."""
        for loss in (self.first, self.second):
            if getattr(loss, "custom_cls_channels", False):
                cast(Any, loss).get_cls_channels(num_classes)
        return num_classes + 1

    def forward(self, logits: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the loss of the current phase, which gets all arguments as they are."""
        loss: Tensor = self.current(logits, target, *args, **kwargs)
        return loss
