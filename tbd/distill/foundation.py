"""Foundation feature distillation: a frozen image encoder as a second teacher."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate

from tbd.distill.checks import check_feature_maps, check_location_maps
from tbd.distill.ground_truth import GroundTruth
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec, InputSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.modules import FrozenModule, ImageEncoder, build_image_encoder
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def cosine_feature_loss(feat_s: Tensor, feat_t: Tensor, weight: Tensor) -> Tensor:
    """Mean of 1 − cosine similarity over the locations.

    Σ w·(1 − cos(feat_s, feat_t)) / max(Σ w, 1), the cosine over the channels of a
    location, the sums over locations and images (of every rank).

    Args:
        feat_s: Projected student features [N, C, H, W].
        feat_t: Features of the encoder [N, C, H, W]; a constant.
        weight: Weight of each location [N, H, W], not negative; a constant.

    Returns:
        A scalar in [0, 2].

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, weight=weight)
    feat_s, feat_t, weight = (at_least_float32(each) for each in (feat_s, feat_t, weight))
    distance = 1 - cosine_similarity(feat_s, feat_t.detach(), dim=1)
    weight = weight.detach()
    return (weight * distance).sum() / normalizer(weight.sum(), 1.0)


@MODELS.register_module()
class FoundationFeatureDistillation(DistillationTerm):
    """The student's features are to point where those of a pretrained image encoder point.

    The encoder sees the student's images, normalised and sized as it expects,
    and is never trained. A linear layer, the same at all locations, projects one
    pyramid level of the student to the encoder's channels; the loss is the mean
    over all locations inside the images of 1 − cosine similarity. RT-DETRv4
    (Liao et al., arXiv 2510.25257) teaches a detector so from DINOv3. Its public
    code starts from a weight of 5 for its two smaller detectors and of 15 and 20
    for its larger ones, and from then on sets it anew after every epoch, so that
    the student's encoder has a share of 2 to 11 % of the norms of gradients;
    here ``loss_weight="auto"`` sets a share once, and a weight that changes is
    set by the term's ``schedule``. That code teaches the coarsest map before it
    enters the feature pyramid, this term a level of the pyramid, and it counts
    padding. The layer's parameters are named as there. The term needs no teacher
    detector: with ``model.teacher=None`` it may stand alone.

    Args:
        encoder: Config of the encoder, see
            :func:`~tbd.modules.build_image_encoder`.
        loss_weight: Factor on the loss.
        level: Pyramid level of the student that learns, counted from 0; negative
            ones count from the coarsest.
        input_size: Height and width of the encoder's images. None takes what
            the encoder insists on, else the batch's, rounded to the encoder's
            stride.

    Raises:
        ImportError: if the encoder's package is not installed.
        ValueError: if the encoder has no weights, or an argument is out of its range.
    """

    reads = frozenset({"features", "images"})
    reads_teacher = False
    trial_options: ClassVar[Mapping[str, Any]] = {
        "encoder": dict(
            type="ResNet", depth=18, base_channels=8, out_indices=(3,), allow_random=True
        )
    }

    def __init__(
        self,
        encoder: Mapping[str, Any],
        loss_weight: float = 1.0,
        level: int = -1,
        input_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__(loss_weight)
        built = build_image_encoder(encoder)
        size = tuple(input_size) if input_size is not None else built.input_size
        if size is not None and (
            len(size) != 2 or any(side < 1 or side % built.stride for side in size)
        ):
            raise ValueError(
                f"input_size={size} must be height and width, multiples of the encoder's stride "
                f"{built.stride}."
            )
        self._encoder = FrozenModule(built)
        self._name = str(encoder.get("model", encoder.get("type")))
        self.level = level
        self.input_size = size
        self.projector = nn.Module()
        self._images: InputSpec | None = None
        self._stride = (1, 1)

    @property
    def encoder(self) -> ImageEncoder:
        """The encoder: frozen, in eval mode, not a submodule."""
        return self._encoder.module

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create the projector."""
        levels = len(student.channels)
        if not -levels <= self.level < levels:
            raise ValueError(
                f"level={self.level} is none of the student's {levels} pyramid levels; set it from "
                f"{-levels} to {levels - 1}."
            )
        if student.images is None:
            raise ValueError(
                "the student's data_preprocessor is no ImgDataPreprocessor, so its images cannot "
                "be turned into the encoder's; set student_options.data_preprocessor to a "
                "DetDataPreprocessor."
            )
        self._images = student.images
        self._stride = student.strides[self.level]
        channels = student.channels[self.level]
        self.projector = nn.Sequential(nn.Linear(channels, self.encoder.channels))

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"FoundationFeatureDistillation(encoder={self._name}, loss_weight={self.loss_weight}, "
            f"level={self.level}, input_size={self.input_size or 'as the batch'})"
        )

    def project(self, features: Tensor) -> Tensor:
        """Project features [N, C, H, W] to the encoder's channels."""
        projected: Tensor = self.projector(at_least_float32(features).movedim(1, -1))
        return projected.movedim(-1, 1)

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_foundation``."""
        feat_s = self.project(student.features[self.level])
        feat_t = self._encode(student)
        if feat_t.shape[2:] != feat_s.shape[2:]:
            feat_t = interpolate(feat_t, feat_s.shape[2:], mode="bilinear", antialias=True)
        weight = _inside(student.gt, feat_s, self._stride)
        return {"loss_foundation": self.loss_weight * cosine_feature_loss(feat_s, feat_t, weight)}

    @torch.no_grad()
    def _encode(self, student: View) -> Tensor:
        assert self._images is not None
        assert student.images is not None
        encoder = self.encoder
        images = at_least_float32(student.images)
        pixels = images * _per_channel(self._images.std, images)
        pixels = pixels + _per_channel(self._images.mean, images)
        if self._images.channel_order == "bgr":
            pixels = pixels.flip(1)
        inputs = (pixels - _per_channel(encoder.mean, images)) / _per_channel(encoder.std, images)
        inputs = inputs * _inside(student.gt, inputs, (1, 1)).unsqueeze(1)
        stride = encoder.stride
        size = self.input_size or tuple(
            max(round(side / stride), 1) * stride for side in images.shape[2:]
        )
        if tuple(images.shape[2:]) != size:
            inputs = interpolate(inputs, size, mode="bilinear", antialias=True)
        dtype = next(encoder.parameters()).dtype
        return at_least_float32(encoder(inputs.to(dtype)))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        super()._apply(fn, recurse)
        self._encoder.apply_(fn)
        return self


def _per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(1, -1, 1, 1)


def _inside(gt: GroundTruth, maps: Tensor, stride: tuple[int, int]) -> Tensor:
    """1 at the cells [N, H, W] whose centre lies inside its image, 0 in the padding."""
    height, width = maps.shape[2:]
    rows = (torch.arange(height, device=maps.device) + 0.5) * stride[0]
    columns = (torch.arange(width, device=maps.device) + 0.5) * stride[1]
    sizes = torch.tensor(gt.image_sizes, device=maps.device)
    below = rows[None, :, None] < sizes[:, 0, None, None]
    left = columns[None, None, :] < sizes[:, 1, None, None]
    return (below & left).to(maps.dtype)
