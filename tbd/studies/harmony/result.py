"""What an analysis finds about one detector, as it is kept on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class SavedPicture:
    """A picture in the folder of a detector.

    Attributes:
        file: Name of the PNG file.
        title: What it shows.
    """

    file: str
    title: str


@dataclass(frozen=True)
class HarmonyResult:
    """What was found about one detector.

    Attributes:
        name: Its name.
        config: Its config file.
        checkpoint: Its weights.
        num_images: Images that it was run on.
        metrics: Values of :class:`tbd.evaluation.HarmonyMetric`, what NMS removed and what the
            detector costs, by their names in :data:`tbd.studies.glossary.GLOSSARY`; the AP of each
            class by :data:`tbd.studies.class_table.PREFIX` and its name.
        iou_histogram: Confident detections in equal bins of the IoU.
        density: Detections in equal cells [score, IoU].
        calibration: Per bin of the score the number of detections, the sum of their scores and
            that of their IoUs.
        maps: Pictures of its harmony maps.
        pairs: Picture of boxes that NMS removed, if there is one.
        notes: What could not be measured, and why.
    """

    name: str
    config: str
    checkpoint: str
    num_images: int
    metrics: Mapping[str, float]
    iou_histogram: Sequence[int]
    density: Sequence[Sequence[int]]
    calibration: Sequence[Sequence[float]]
    maps: Sequence[SavedPicture]
    pairs: SavedPicture | None
    notes: Sequence[str]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "HarmonyResult":
        """Read a result that was written as JSON."""
        pairs = content["pairs"]
        return cls(
            **{
                **content,
                "maps": [SavedPicture(**picture) for picture in content["maps"]],
                "pairs": pairs and SavedPicture(**pairs),
            }
        )

    def renamed(self, name: str, config: str, checkpoint: str) -> "HarmonyResult":
        """The same result of the same detector under another name and other paths."""
        return replace(self, name=name, config=config, checkpoint=checkpoint)
