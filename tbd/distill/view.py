"""What a distillation term sees of a detector, before training and at every step."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from tbd.harmony import Confidence, HarmonyMaps, HarmonyScoreHead, Norm
from tbd.predictions import DensePredictions, RoIPredictions


@dataclass(frozen=True)
class HeadSpec:
    """What is known of a dense head when the model is built.

    Attributes:
        name: Attribute of the detector, such as ``"bbox_head"``.
        type: Class name of the head.
        num_classes: Foreground classes of its logits.
        anchors_per_location: Predictions per location, for each level.
        prior_layout: Equal for heads whose predictions correspond one to one.
    """

    name: str
    type: str
    num_classes: int
    anchors_per_location: tuple[int, ...]
    prior_layout: Hashable


@dataclass(frozen=True)
class RoISpec:
    """What is known of a second stage when the model is built.

    Attributes:
        type: Class name of the RoI head.
        num_classes: Foreground classes that its box heads tell apart.
        num_stages: Number of its box heads, more than one in a cascade.
    """

    type: str
    num_classes: int
    num_stages: int


@dataclass(frozen=True)
class DetectorSpec:
    """What is known of a detector when the model is built.

    Attributes:
        role: ``"student"`` or ``"teacher"``.
        type: Class name of the detector.
        neck: Attribute whose output the features are: ``"neck"`` or ``"backbone"``.
        channels: Channels of each pyramid level.
        strides: Input pixels per feature cell of each pyramid level, (vertical, horizontal).
        head: Its dense head, or None.
        head_error: Why ``head`` is None.
        roi: Its second stage, or None.
        roi_error: Why ``roi`` is None.
    """

    role: str
    type: str
    neck: str
    channels: tuple[int, ...]
    strides: tuple[tuple[int, int], ...]
    head: HeadSpec | None
    head_error: str = ""
    roi: RoISpec | None = None
    roi_error: str = ""

    def select(self, levels: Sequence[int]) -> "DetectorSpec":
        """Describe the detector as if it had these pyramid levels only, in this order."""
        levels = tuple(levels)
        head = self.head and replace(
            self.head,
            anchors_per_location=tuple(self.head.anchors_per_location[i] for i in levels),
            prior_layout=(self.head.prior_layout, levels),
        )
        return replace(
            self,
            channels=tuple(self.channels[i] for i in levels),
            strides=tuple(self.strides[i] for i in levels),
            head=head,
        )

    def pyramid(self) -> str:
        """Channels and strides of the features in words."""
        levels = ", ".join(
            f"{channels}@{'x'.join(map(str, sorted(set(stride))))}"
            for channels, stride in zip(self.channels, self.strides, strict=True)
        )
        return f"{self.neck} with {len(self.channels)} levels (channels@stride: {levels})"


@dataclass(frozen=True)
class View:
    """One detector's tensors of one training step.

    Attributes:
        features: Per pyramid level, the neck's output [N, C, H, W].
        predictions: What the dense head predicts before NMS, or None where no
            term asked for it.
        gt_boxes: Ground-truth boxes [G, 4] of each image, in pixels of the input.
        rois: For each stage of the student's RoI head, what this detector
            predicts for the proposals of that stage; None where no term asked.
        resized_to: Height and width of each level that the harmony maps are
            brought to; None leaves them as predicted.
    """

    features: tuple[Tensor, ...]
    predictions: DensePredictions | None
    gt_boxes: list[Tensor]
    rois: tuple[RoIPredictions, ...] | None = None
    resized_to: tuple[tuple[int, int], ...] | None = None
    _harmony: dict[tuple[Norm, Confidence], HarmonyMaps] = field(default_factory=dict, repr=False)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of the features of each level."""
        return tuple((level.shape[2], level.shape[3]) for level in self.features)

    def select(self, levels: Sequence[int]) -> "View":
        """See these pyramid levels only, in this order."""
        return View(
            tuple(self.features[level] for level in levels),
            self.predictions and self.predictions.select(levels),
            self.gt_boxes,
            self.rois,
        )

    def harmony(self, head: HarmonyScoreHead) -> HarmonyMaps:
        """Harmony maps as the head defines them, computed once per step for all terms."""
        key = (head.norm, head.confidence)
        if key not in self._harmony:
            maps = head(self.predictions, self.gt_boxes)
            if self.resized_to is not None:
                maps = maps.per_location().resized(self.resized_to)
            self._harmony[key] = maps
        return self._harmony[key]
