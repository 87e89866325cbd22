"""What an exported file says of itself, in the metadata of ONNX."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from tbd.engine.deployment.image_input import ImageInput
from tbd.engine.deployment.limits import Limits

_DESCRIPTION = "tbd"


@dataclass(frozen=True)
class ModelInfo:
    """Everything that is needed beside the graph to detect objects in an image.

    Attributes:
        detector: Class of the detector.
        config: Name of its config.
        classes: Names of the classes, by label.
        image: How an image becomes the input.
        limits: How predictions become detections.
        end_to_end: The graph takes pixels and returns detections; otherwise it takes normalised
            images and returns boxes and scores.
        precision: ``"float32"``, ``"float16"`` or ``"int8"``.
        version: Of tbd.
    """

    detector: str
    config: str
    classes: tuple[str, ...]
    image: ImageInput
    limits: Limits
    end_to_end: bool
    precision: str
    version: str

    def properties(self) -> dict[str, str]:
        """As ONNX has them: text by name; all but plain names and versions is JSON."""
        return {
            "producer": _DESCRIPTION,
            "tbd_version": self.version,
            "detector": self.detector,
            "config": self.config,
            "classes": json.dumps(self.classes, ensure_ascii=False),
            "image": json.dumps(dataclasses.asdict(self.image)),
            "limits": json.dumps(dataclasses.asdict(self.limits)),
            "end_to_end": json.dumps(self.end_to_end),
            "precision": self.precision,
        }

    @staticmethod
    def from_properties(properties: Mapping[str, str], path: str) -> "ModelInfo":
        """Read what :meth:`properties` wrote.

        Args:
            properties: The metadata of the file.
            path: Of the file, for error messages.

        Raises:
            ValueError: if it was not written by ``tbd export``.
        """
        if properties.get("producer") != _DESCRIPTION:
            raise ValueError(
                f"{path} has no metadata of tbd: it was not written by 'tbd export --format onnx'"
            )
        return ModelInfo(
            detector=properties["detector"],
            config=properties["config"],
            classes=tuple(json.loads(properties["classes"])),
            image=ImageInput.from_metadata(json.loads(properties["image"])),
            limits=Limits(**json.loads(properties["limits"])),
            end_to_end=json.loads(properties["end_to_end"]),
            precision=properties["precision"],
            version=properties["tbd_version"],
        )
