"""Adversarial feature distillation: a discriminator that the student learns to deceive."""

import logging

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from tbd.checks import check_at_least_one, check_choice, check_positive
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.generative import AdversarialLoss, discriminator_loss, generator_loss, through_frozen
from tbd.modules import AdaptationKind, build_adaptation
from tbd.precision import at_least_float32
from tbd.registry import MODELS


@MODELS.register_module()
class AdversarialFeatureDistillation(DistillationTerm):
    """The student's features are to look like the teacher's to a network that tells them apart.

    Each pyramid level has a convolutional discriminator that judges every
    location. It learns to answer 1 to the teacher's features and 0 to the
    student's adapted ones, while student and adaptation learn to be answered 1:
    the losses of Goodfellow et al. (arXiv 1406.2661, ``loss="vanilla"``, the
    student's non-saturating) or of Mao et al. (arXiv 1611.04076, ``"lsgan"``).
    The features of a level match as a distribution, not location by location;
    Chung et al. (ICML 2020, arXiv 2002.01775) distill so between classifiers.

    Both sides learn in the one backward pass of a step: the student through the
    discriminator with its weights held constant, the discriminator on the
    student's features held constant. The discriminator's learning rate is set
    by the name of its parameters: ``paramwise_cfg=dict(custom_keys={
    "distill.<name of the term>.discriminators": dict(lr_mult=0.1)})`` of the
    ``optim_wrapper``.

    Args:
        loss_weight: Factor on both sides' losses.
        loss: ``"vanilla"`` or ``"lsgan"``.
        discriminator_weight: Further factor on the discriminator's loss, positive.
        hidden_channels: Width of the discriminator.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        collapse_after: A warning is logged when for so many steps in a row a
            discriminator was right about every location: the student then
            learns nothing from it.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})
    own_losses = frozenset({"loss_discriminator"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        loss: AdversarialLoss = "vanilla",
        discriminator_weight: float = 1.0,
        hidden_channels: int = 64,
        adaptation: AdaptationKind = "auto",
        collapse_after: int = 200,
    ) -> None:
        super().__init__(loss_weight)
        check_choice(AdversarialLoss, loss=loss)
        check_positive(discriminator_weight=discriminator_weight)
        check_at_least_one(hidden_channels=hidden_channels, collapse_after=collapse_after)
        self.loss = loss
        self.discriminator_weight = discriminator_weight
        self.hidden_channels = hidden_channels
        self.adaptation = adaptation
        self.collapse_after = collapse_after
        self.adaptations = nn.ModuleList()
        self.discriminators = nn.ModuleList()
        self._steps = 0
        self.streaks: Tensor

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create an adaptation layer and a discriminator per pyramid level."""
        for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True):
            self.adaptations.append(build_adaptation(self.adaptation, channels_s, channels_t))
            self.discriminators.append(_discriminator(channels_t, self.hidden_channels))
        # Steps in a row in which each discriminator was always right.
        self.register_buffer("streaks", torch.zeros(len(self.discriminators)), persistent=False)

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"AdversarialFeatureDistillation(loss_weight={self.loss_weight}, loss={self.loss}, "
            f"discriminator_weight={self.discriminator_weight}, "
            f"hidden_channels={self.hidden_channels}, adaptation={self.adaptation})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_adversarial``, ``loss_discriminator`` and each level's ``accuracy``."""
        deceiving, telling, accuracies = [], [], []
        for adapt, discriminator, feat_s, feat_t in zip(
            self.adaptations, self.discriminators, student.features, teacher.features, strict=True
        ):
            fake = adapt(at_least_float32(feat_s))
            deceiving.append(generator_loss(through_frozen(discriminator, fake), self.loss))
            fake_logits = discriminator(fake.detach())
            real_logits = discriminator(at_least_float32(feat_t))
            telling.append(discriminator_loss(real_logits, fake_logits, self.loss))
            accuracies.append(self._accuracy(real_logits.detach(), fake_logits.detach()))
        accuracy = torch.stack(accuracies)
        self._watch(accuracy)
        weight = self.loss_weight
        return {
            "loss_adversarial": weight * torch.stack(deceiving).sum(),
            "loss_discriminator": weight * self.discriminator_weight * torch.stack(telling).sum(),
            **{f"accuracy_{level}": value for level, value in enumerate(accuracy)},
        }

    def _accuracy(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        border = 0.0 if self.loss == "vanilla" else 0.5
        right = torch.cat([(real_logits > border).flatten(), (fake_logits <= border).flatten()])
        return right.float().mean()

    @torch.no_grad()
    def _watch(self, accuracy: Tensor) -> None:
        self.streaks.copy_((self.streaks + 1) * (accuracy == 1))
        self._steps += 1
        # Looked at only now and then, since looking waits for the device.
        if self._steps % self.collapse_after:
            return
        collapsed = [
            level
            for level, streak in enumerate(self.streaks.tolist())
            if streak >= self.collapse_after
        ]
        if collapsed:
            print_log(
                f"AdversarialFeatureDistillation: for {self.collapse_after} steps the "
                f"discriminators of the levels {', '.join(map(str, collapsed))} (from 0) were "
                "right about every location, so the student learns nothing from them. Lower their "
                "learning rate (paramwise_cfg.custom_keys, see the term's documentation), "
                "discriminator_weight or hidden_channels, or take loss='lsgan'.",
                "current",
                logging.WARNING,
            )


def _discriminator(channels: int, hidden: int) -> nn.Sequential:
    # No batch norm: it would mix teacher and student in its statistics.
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(hidden, 1, 1),
    )
