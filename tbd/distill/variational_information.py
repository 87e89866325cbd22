"""Variational information distillation (VID)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tbd.checks import check_at_least_one
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.precision import at_least_float32
from tbd.registry import MODELS

EPS = 1e-5
"""Smallest variance."""


def variational_information_loss(mean: Tensor, variance: Tensor, feat_t: Tensor) -> Tensor:
    """Negative log-likelihood of the teacher's features under a normal distribution.

    −log q(t | s) = log σ_c + (t − μ(s))² / (2σ_c²), but for a constant; Ahn et al.
    (arXiv 1904.05835). The paper sums over channels and locations; as in its
    authors' code this is the mean over them and over the images, so that one
    weight serves maps of every size.

    Args:
        mean: μ(s), predicted from the student's features [N, C, H, W].
        variance: σ² of each channel [C], positive.
        feat_t: Teacher features [N, C, H, W]; a constant.

    Returns:
        A scalar; it may be negative, as a density may exceed 1.

    Raises:
        ValueError: if the shapes are not as above.
    """
    if mean.shape != feat_t.shape or variance.shape != feat_t.shape[1:2]:
        raise ValueError(
            f"mean {list(mean.shape)} and feat_t {list(feat_t.shape)} must have one shape "
            f"[N, C, H, W], and variance {list(variance.shape)} be [C]."
        )
    variance = variance.view(1, -1, 1, 1)
    squared = (feat_t.detach() - mean).square()
    return (variance.log() + squared / variance).mean() / 2


@MODELS.register_module()
class VariationalInformationDistillation(DistillationTerm):
    """The student's features are to tell as much as possible about the teacher's.

    A lower bound of their mutual information is raised: for each pyramid level,
    a network of three 1×1 convolutions predicts the mean of the teacher's
    features from the student's, location by location, and each channel has a
    variance of its own, softplus(α_c) + 1e-5. Channels that cannot
    be predicted get a large one and count little. VID, Ahn et al., CVPR 2019
    (arXiv 1904.05835).

    Args:
        loss_weight: Factor on the sum over the levels.
        hidden_channels: Width of the two hidden layers; None takes that of the
            teacher's features.
        initial_variance: Of every channel, above 1e-5.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        hidden_channels: int | None = None,
        initial_variance: float = 5.0,
    ) -> None:
        super().__init__(loss_weight)
        if hidden_channels is not None:
            check_at_least_one(hidden_channels=hidden_channels)
        if not (math.isfinite(initial_variance) and initial_variance > EPS):
            raise ValueError(f"initial_variance={initial_variance} must be finite and above {EPS}.")
        self.hidden_channels = hidden_channels
        self.initial_variance = initial_variance
        self.means = nn.ModuleList()
        self.raw_variances = nn.ParameterList()

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create the network of the mean and the variances of each pyramid level."""
        excess = self.initial_variance - EPS
        # The inverse of softplus, in a form that does not overflow.
        raw = excess + math.log(-math.expm1(-excess))
        for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True):
            hidden = self.hidden_channels or channels_t
            self.means.append(
                nn.Sequential(
                    nn.Conv2d(channels_s, hidden, 1, bias=False),
                    nn.ReLU(),
                    nn.Conv2d(hidden, hidden, 1, bias=False),
                    nn.ReLU(),
                    nn.Conv2d(hidden, channels_t, 1, bias=False),
                )
            )
            self.raw_variances.append(nn.Parameter(torch.full((channels_t,), raw)))

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"VariationalInformationDistillation(loss_weight={self.loss_weight}, "
            f"hidden_channels={self.hidden_channels or 'as the teacher'}, "
            f"initial_variance={self.initial_variance})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_information`` and the mean variance of each level."""
        losses, logged = [], {}
        for level, (mean, raw) in enumerate(zip(self.means, self.raw_variances, strict=True)):
            variance = softplus(raw) + EPS
            losses.append(
                variational_information_loss(
                    mean(at_least_float32(student.features[level])),
                    variance,
                    at_least_float32(teacher.features[level]),
                )
            )
            logged[f"variance_{level}"] = variance.detach().mean()
        return {"loss_information": self.loss_weight * torch.stack(losses).sum(), **logged}
