"""What a detector expects of an image: size, padding, normalisation, read from its config."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor
from torch.nn.functional import pad

_RESIZES = ("Resize", "FixScaleResize")
# These leave the pixels as they are.
_HARMLESS = ("Load", "Filter", "Pack")


@dataclass(frozen=True)
class ImageInput:
    """How an image becomes the input of a graph.

    Channels of ``pad_value`` are blue, green, red, as OpenCV reads them; those of ``mean`` and
    ``std`` are in the order of the detector.

    Attributes:
        size: Height and width of the input in pixels.
        resize: Largest height and width that the image takes of it.
        keep_ratio: Whether the image keeps its aspect ratio when it is resized.
        mean: Subtracted from each channel.
        std: Each channel is divided by it.
        swap_channels: The detector takes red first.
        pad_value: Pixel to the right of and below the image, three numbers.
        divisor: Multiple to which a graph of any size pads height and width.
        dynamic: The graph takes images of any size, so that these are resized as MMDetection does
            it, by their longer and shorter side, and pads them itself, so that it knows where the
            image ends.
    """

    size: tuple[int, int]
    resize: tuple[int, int]
    keep_ratio: bool
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    swap_channels: bool = False
    pad_value: tuple[float, ...] = (0.0, 0.0, 0.0)
    divisor: int = 1
    dynamic: bool = False

    @staticmethod
    def from_metadata(content: Mapping[str, Any]) -> "ImageInput":
        """Restore what :func:`dataclasses.asdict` made and JSON carried."""
        fields: dict[str, Any] = {
            key: tuple(item) if isinstance(item, list) else item for key, item in content.items()
        }
        return ImageInput(**fields)

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Resize and pad an image.

        Args:
            image: [h, w, 3] of bytes, blue, green, red.

        Returns:
            The image as float32 [H, W, 3], still blue, green, red and not normalised, and the
            height and width that the image itself takes of it.
        """
        height, width = self._resized(*image.shape[:2])
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        full = (height, width) if self.dynamic else self.size
        padded = np.empty((*full, 3), np.float32)
        padded[:] = self.pad_value
        padded[:height, :width] = resized
        return padded, (height, width)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Make the detector's input [N, 3, H, W] of pixels [N, H, W, 3]."""
        images = pixels.permute(0, 3, 1, 2).float()
        if self.swap_channels:
            images = images.flip(1)
        mean, std = (images.new_tensor(item).view(1, 3, 1, 1) for item in (self.mean, self.std))
        return ((images - mean) / std).contiguous()

    def pad(self, images: Tensor) -> Tensor:
        """Pad the detector's input [N, 3, H, W] of a graph of any size, as MMDetection does."""
        if not self.dynamic or self.divisor == 1:
            return images
        pixel = torch.tensor(self.pad_value, device=images.device)
        value = self.normalize(pixel.view(1, 1, 1, 3)).to(images.dtype)
        below, right = (
            (self.divisor - length % self.divisor) % self.divisor for length in images.shape[2:]
        )
        return pad(images - value, (0, right, 0, below)) + value

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if not self.keep_ratio:
            return self.resize
        if self.dynamic:
            scale = min(
                max(self.resize) / max(height, width), min(self.resize) / min(height, width)
            )
        else:
            scale = min(self.resize[0] / height, self.resize[1] / width)
        return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)


def read_image_input(
    cfg: Config, size: tuple[int, int] | None = None, dynamic: bool = False
) -> ImageInput:
    """Read a config's test pipeline and data preprocessor.

    Args:
        cfg: Full config of a plain detector.
        size: Height and width of the input instead of the config's.
        dynamic: The graph will take images of any size.

    Raises:
        ValueError: if the config gives no size, or its pipeline does to images what an exported
            graph and its callers cannot repeat.
    """
    preprocessor = cfg.model.get("data_preprocessor") or {}
    pipeline = _read_pipeline(cfg, crops=size is not None)
    resize, padded, pad_pixel = pipeline.resize, pipeline.padded, pipeline.pad_pixel
    divisor = math.lcm(int(preprocessor.get("pad_size_divisor", 1)), pipeline.divisor)
    if size is not None:
        resize, padded = size, None
    if resize is None:
        raise ValueError(
            "test_dataloader.dataset.pipeline resizes images to no size that is its own; give the "
            "height and width of the graph's input with --input-size HEIGHT WIDTH"
        )
    mean = _three(preprocessor.get("mean"), 0.0)
    std = _three(preprocessor.get("std"), 1.0)
    swap = bool(preprocessor.get("bgr_to_rgb") or preprocessor.get("rgb_to_bgr"))
    if pad_pixel is None:
        normalized = float(preprocessor.get("pad_value", 0))
        pixel = [m + normalized * s for m, s in zip(mean, std, strict=True)]
        pad_pixel = tuple(reversed(pixel)) if swap else tuple(pixel)
    height, width = padded or resize
    return ImageInput(
        size=(_round_up(height, divisor), _round_up(width, divisor)),
        resize=resize,
        keep_ratio=pipeline.keep_ratio,
        mean=mean,
        std=std,
        swap_channels=swap,
        pad_value=pad_pixel,
        divisor=divisor,
        dynamic=dynamic,
    )


@dataclass(frozen=True)
class _Pipeline:
    """What a test pipeline does to images: size to resize to, to pad to, and what pads."""

    resize: tuple[int, int] | None = None
    keep_ratio: bool = False
    padded: tuple[int, int] | None = None
    divisor: int = 1
    pad_pixel: tuple[float, ...] | None = None


def _read_pipeline(cfg: Config, crops: bool) -> _Pipeline:
    found = _Pipeline()
    for step in _steps(cfg):
        kind = str(step.get("type")).rpartition(".")[2]
        if kind in _RESIZES:
            if (scale := step.get("scale")) is not None:
                width, height = (scale, scale) if isinstance(scale, int) else scale
                ratio = bool(step.get("keep_ratio", False))
                found = replace(found, resize=(int(height), int(width)), keep_ratio=ratio)
        elif kind == "Pad":
            found = _padded(found, step)
        elif kind.startswith(_HARMLESS) and step.get("color_type", "color").startswith("color"):
            continue
        elif not ("Crop" in kind and crops) and not (kind == "RandomFlip" and not step.get("prob")):
            what = f"{kind}(color_type={step['color_type']!r})" if "color_type" in step else kind
            raise ValueError(
                f"test_dataloader.dataset.pipeline has a {what}, which the callers of an exported "
                "graph would have to repeat; images for it are read in colour, resized and padded "
                "only. Set the pipeline to LoadImageFromFile, Resize, PackDetInputs"
                + (", or give --input-size HEIGHT WIDTH" if "Crop" in kind else "")
            )
    return found


def _padded(found: _Pipeline, step: Mapping[str, Any]) -> _Pipeline:
    padded = found.padded
    if step.get("size") is not None:
        width, height = step["size"]
        padded = int(height), int(width)
    if step.get("pad_to_square") and found.resize is not None:
        padded = (max(found.resize),) * 2
    value = step.get("pad_val", 0)
    pixel = _three(value.get("img", 0) if isinstance(value, Mapping) else value, 0.0)
    divisor = math.lcm(found.divisor, int(step.get("size_divisor") or 1))
    return replace(found, padded=padded, divisor=divisor, pad_pixel=pixel)


def _steps(cfg: Config) -> Iterator[Mapping[str, Any]]:
    loader = cfg.get("test_dataloader") or {}
    dataset = loader.get("dataset") or {}
    while "pipeline" not in dataset and isinstance(dataset.get("dataset"), Mapping):
        dataset = dataset["dataset"]
    yield from dataset.get("pipeline") or ()


def _three(value: float | Sequence[float] | None, otherwise: float) -> tuple[float, ...]:
    if value is None:
        value = otherwise
    if isinstance(value, int | float):
        value = (float(value),)
    numbers = tuple(float(item) for item in value)
    return numbers * 3 if len(numbers) == 1 else numbers


def _round_up(length: int, divisor: int) -> int:
    return math.ceil(length / divisor) * divisor


def as_input(images: Sequence[np.ndarray], spec: ImageInput) -> Tensor:
    """Prepared images of one size as the normalised batch of a detector."""
    return spec.normalize(torch.from_numpy(np.stack(images)))
