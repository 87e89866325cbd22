"""Whether what a teacher returned is finite, found out without making a device wait."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from tbd.detectors.tensors import tensors_in


@dataclass(frozen=True)
class _Finding:
    """Flags on their way from a device, with what is needed to name what they belong to."""

    flags: Tensor
    names: list[str]
    shapes: list[list[int]]
    images: list[str]
    arrived: Any


class FiniteCheck:
    """Raises where an output has a NaN or an infinity, and names output and image.

    On a CPU it raises at once. On other devices the answer is fetched while the
    step goes on and looked at in the next, so that no step waits for it.

    Args:
        name: Name of a recorded output, for the message.
    """

    def __init__(self, name: Callable[[str], str]) -> None:
        self._name = name
        self._pending: _Finding | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "FiniteCheck":
        duplicate = copy.copy(self)
        duplicate._pending = None
        return duplicate

    def __call__(self, outputs: Mapping[str, Any], samples: Sequence[DetDataSample]) -> None:
        """Look at the outputs of a step.

        Args:
            outputs: What the modules returned, by their names in the record.
            samples: The batch's samples, for the paths of the images.

        Raises:
            FloatingPointError: if one is not finite: of this step on a CPU, of the
                step before on other devices.
        """
        named = [
            (name, tensor)
            for name, output in outputs.items()
            for tensor in tensors_in(output)
            if tensor.is_floating_point()
        ]
        if not named:
            return
        if named[0][1].device.type == "cpu":
            total = torch.stack([tensor.float().sum() for _, tensor in named]).sum()
            # The tensors are looked at one by one only where their sum is suspicious.
            if not torch.isfinite(total):
                self._examine(_find(named, samples))
            return
        self.settle()
        self._pending = _find(named, samples)

    def settle(self) -> None:
        """Look at what is still on its way.

        Raises:
            FloatingPointError: if an output was not finite.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            if pending.arrived is not None:
                pending.arrived.synchronize()
            self._examine(pending)

    def _examine(self, finding: _Finding) -> None:
        for flags, name, shape in zip(finding.flags, finding.names, finding.shapes, strict=True):
            if flags.all():
                continue
            images = "some image of the batch"
            if shape[:1] == [len(finding.images)]:
                images = ", ".join(
                    path for path, fine in zip(finding.images, flags, strict=True) if not fine
                )
            raise FloatingPointError(
                f"The teacher's {self._name(name)} returned NaN or infinity at {shape} for "
                f"{images}. Check teacher_ckpt; in half precision the teacher may overflow "
                "float16: train without --amp or with optim_wrapper.dtype='bfloat16', and set "
                "teacher_execution.dtype to 'fp32' or 'bf16'. The last checkpoint is untouched."
            )


def _find(named: Sequence[tuple[str, Tensor]], samples: Sequence[DetDataSample]) -> _Finding:
    flags = torch.stack([_finite_images(tensor, len(samples)) for _, tensor in named])
    arrived = None
    if flags.device.type == "cuda":
        host = torch.empty(flags.shape, dtype=torch.bool, pin_memory=True)
        flags = host.copy_(flags, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
    return _Finding(
        flags=flags,
        names=[name for name, _ in named],
        shapes=[list(tensor.shape) for _, tensor in named],
        images=[
            str(sample.metainfo.get("img_path", f"number {index} of the batch"))
            for index, sample in enumerate(samples)
        ],
        arrived=arrived,
    )


def _finite_images(tensor: Tensor, images: int) -> Tensor:
    finite = tensor.isfinite()
    if finite.ndim and len(finite) == images:
        return finite.reshape(images, -1).all(dim=1)
    return finite.all().expand(images)
