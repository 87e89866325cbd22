"""The teacher, kept out of everything that trains, saves or averages the student."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from torch import Tensor

from tbd.detectors.renormalization import InputRenormalization


class FrozenTeacher:
    """Holds a detector outside of ``nn.Module``'s bookkeeping and runs it without gradient.

    Not being a module, it stays out of ``parameters()``, ``state_dict()``,
    ``named_modules()`` and so of the optimizer, DistributedDataParallel and
    checkpoints. Copies (EMA makes one) share the detector until one of them
    moves it to another device or dtype.

    Args:
        detector: The detector; it is frozen and set to eval mode.
        renormalize: Map from the student's batch to the teacher's.
        head: Its dense head, or None to stop after the neck.
    """

    def __init__(
        self, detector: BaseDetector, renormalize: InputRenormalization, head: str | None
    ) -> None:
        detector.requires_grad_(False)
        detector.eval()
        self.detector = detector
        self._renormalize = renormalize
        self._head = head
        self._shared = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenTeacher":
        duplicate = copy.copy(self)
        self._shared = duplicate._shared = True
        return duplicate

    def apply_(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow a ``Module._apply``, as ``.to()``, ``.half()`` or ``.cuda()`` issue it."""
        if self._shared:
            probe = next(self.detector.parameters())
            moved = fn(probe.detach())
            if (moved.dtype, moved.device) == (probe.dtype, probe.device):
                return
            self.detector = copy.deepcopy(self.detector)
            self._shared = False
        self.detector._apply(fn)

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample]
    ) -> tuple[tuple[Tensor, ...], Any]:
        """Run backbone, neck and dense head; no label assignment, no NMS.

        Args:
            inputs: The student's normalised batch [N, 3, H, W].
            data_samples: The batch's samples, for the size of each image.

        Returns:
            Features of each level [N, C, H, W] and the dense head's raw output
            (None without a head).

        Raises:
            FloatingPointError: if an output is not finite.
        """
        if self.detector.training:
            self.detector.eval()
        images = self.renormalize(inputs, data_samples)
        features = tuple(self.detector.extract_feat(images))
        outputs = getattr(self.detector, self._head)(features) if self._head else None
        self._check_finite({"neck": features, self._head or "head": outputs}, data_samples)
        return features, outputs

    def renormalize(self, inputs: Tensor, data_samples: Sequence[DetDataSample]) -> Tensor:
        """Turn the student's normalised batch into what the teacher's preprocessor would make."""
        return self._renormalize(inputs, [sample.img_shape[:2] for sample in data_samples])

    @staticmethod
    def _check_finite(outputs: dict[str, Any], data_samples: Sequence[DetDataSample]) -> None:
        named = [(name, t) for name, output in outputs.items() for t in _tensors_in(output)]
        total = torch.stack([tensor.float().sum() for _, tensor in named]).sum()
        # One number to wait for; the tensors are looked at only where it is suspicious.
        if torch.isfinite(total):
            return
        for name, tensor in named:
            finite = tensor.isfinite().flatten(1).all(dim=1)
            if not finite.all():
                images = [
                    sample.metainfo.get("img_path", f"number {index} of the batch")
                    for index, sample in enumerate(data_samples)
                    if not finite[index]
                ]
                raise FloatingPointError(
                    f"The teacher's {name} returned NaN or infinity at {list(tensor.shape)} for "
                    f"{', '.join(images)}. Check teacher_ckpt; under AMP the teacher may overflow "
                    "float16: train without --amp or with "
                    "optim_wrapper.dtype='bfloat16'. The last checkpoint is untouched."
                )


def _tensors_in(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, list | tuple):
        return [tensor for item in output for tensor in _tensors_in(item)]
    return []
