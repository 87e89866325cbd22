"""What is known of a detector when the model is built."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tbd.predictions import Encoding


@dataclass(frozen=True)
class TowerSpec:
    """The separate class and box towers of a dense head, the convolutions before its predictors.

    Attributes:
        cls_channels: Channels after each convolution of the class tower.
        reg_channels: Likewise of the box tower.
        preactivations: Numbers, counted from 1, of the convolutions that end with
            an activation in both towers, so that what they give before it can be read.
    """

    cls_channels: tuple[int, ...]
    reg_channels: tuple[int, ...]
    preactivations: frozenset[int] = frozenset()


@dataclass(frozen=True)
class HeadSpec:
    """What is known of a dense head.

    Attributes:
        name: Attribute of the detector, such as ``"bbox_head"``.
        type: Class name of the head.
        num_classes: Foreground classes of its logits.
        anchors_per_location: Predictions per location, for each level.
        prior_layout: Equal for heads whose predictions correspond one to one.
        background: Its classifier is a softmax whose last class is the background.
        prior_offset: Where in its cell the centre of a prior lies, 0.5 in the middle.
        encoding: What its raw regression is.
        bins: Bins of each side's distribution, where ``encoding`` is ``"bins"``.
        strides: Pixels between the priors of neighbouring locations of each level, (vertical,
            horizontal); None where the head does not say.
        towers: Its class and box towers, or None.
        towers_error: Why ``towers`` is None.
    """

    name: str
    type: str
    num_classes: int
    anchors_per_location: tuple[int, ...]
    prior_layout: Hashable
    background: bool = False
    prior_offset: float = 0.5
    encoding: Encoding = "other"
    bins: int | None = None
    strides: tuple[tuple[float, float], ...] | None = None
    towers: TowerSpec | None = None
    towers_error: str = ""


@dataclass(frozen=True)
class RoISpec:
    """What is known of a second stage.

    Attributes:
        type: Class name of the RoI head.
        num_classes: Foreground classes that its box heads tell apart.
        num_stages: Number of its box heads, more than one in a cascade.
    """

    type: str
    num_classes: int
    num_stages: int


@dataclass(frozen=True)
class QuerySpec:
    """What is known of a decoder that predicts from queries.

    Attributes:
        type: Class name of the head.
        num_classes: Foreground classes of its logits.
        background: Its classifier is a softmax whose last class is the background.
        num_queries: Queries of an image, without those for denoising.
        num_layers: Decoder layers, each of which predicts.
        channels: Width of a query.
    """

    type: str
    num_classes: int
    background: bool
    num_queries: int
    num_layers: int
    channels: int


@dataclass(frozen=True)
class InputSpec:
    """How a detector's images are normalised: (pixel − mean) / std.

    Attributes:
        mean: Of each channel, on the scale 0 to 255.
        std: Likewise.
        channel_order: ``"rgb"`` or ``"bgr"``.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str


@dataclass(frozen=True)
class DetectorSpec:
    """What is known of a detector.

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
        queries: Its decoder of queries, or None.
        queries_error: Why ``queries`` is None.
        backbone_channels: Channels of each output of the backbone.
        backbone_strides: Input pixels per cell of each of them, (vertical, horizontal).
        outputs: For each module path that a term asked for, the shapes of the
            tensors of each of its calls on an image of the probing size; empty
            for modules of the second stage, which probing does not run.
        images: How its images are normalised, or None where that is not known.
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
    queries: QuerySpec | None = None
    queries_error: str = ""
    backbone_channels: tuple[int, ...] = ()
    backbone_strides: tuple[tuple[int, int], ...] = ()
    outputs: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    images: InputSpec | None = None

    def select(self, levels: Sequence[int]) -> "DetectorSpec":
        """Describe the detector as if it had these pyramid levels only, in this order."""
        levels = tuple(levels)
        head = self.head and replace(
            self.head,
            anchors_per_location=tuple(self.head.anchors_per_location[i] for i in levels),
            prior_layout=(self.head.prior_layout, levels),
            strides=self.head.strides and tuple(self.head.strides[i] for i in levels),
        )
        return replace(
            self,
            channels=tuple(self.channels[i] for i in levels),
            strides=tuple(self.strides[i] for i in levels),
            head=head,
        )

    @property
    def prior_strides(self) -> tuple[tuple[float, float], ...]:
        """Pixels between neighbouring locations of the dense head, (vertical, horizontal)."""
        # Those of the features are rounded: an image of the probing size may hold half a cell.
        return (self.head and self.head.strides) or self.strides

    def pyramid(self) -> str:
        """Channels and strides of the features in words."""
        levels = ", ".join(
            f"{channels}@{'x'.join(map(str, sorted(set(stride))))}"
            for channels, stride in zip(self.channels, self.strides, strict=True)
        )
        return f"{self.neck} with {len(self.channels)} levels (channels@stride: {levels})"


NO_TEACHER = DetectorSpec("teacher", "none", "", (), (), None)
"""What terms that do not read the teacher are connected to."""
