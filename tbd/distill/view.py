"""What a distillation term sees of a detector, before training and at every step."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from torch import Tensor

from tbd.harmony import HarmonyMaps, HarmonyScoreHead
from tbd.harmony.functional import Norm
from tbd.predictions import DensePredictions


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
    """

    role: str
    type: str
    neck: str
    channels: tuple[int, ...]
    strides: tuple[tuple[int, int], ...]
    head: HeadSpec | None
    head_error: str = ""


@dataclass(frozen=True)
class View:
    """One detector's tensors of one training step.

    Attributes:
        features: Per pyramid level, the neck's output [N, C, H, W].
        predictions: What the dense head predicts before NMS, or None where no
            term asked for it.
        gt_boxes: Ground-truth boxes [G, 4] of each image, in pixels of the input.
    """

    features: tuple[Tensor, ...]
    predictions: DensePredictions | None
    gt_boxes: list[Tensor]
    _harmony: dict[Norm, HarmonyMaps] = field(default_factory=dict, repr=False)

    def harmony(self, head: HarmonyScoreHead) -> HarmonyMaps:
        """Harmony maps under ``head.norm``, computed once per step for all terms."""
        if head.norm not in self._harmony:
            self._harmony[head.norm] = head(self.predictions, self.gt_boxes)
        return self._harmony[head.norm]
