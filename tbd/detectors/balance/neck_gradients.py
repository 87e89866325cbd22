"""How hard each loss pulls at the student: the norm of its gradient on the neck's output."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from tbd.detectors.forward_hooks import ForwardHooks
from tbd.detectors.tensors import tensors_in


class NeckGradients(ForwardHooks):
    """Context in which a detector's neck is watched, and gradients on its output measured after.

    Args:
        detector: The student. Without a neck its backbone is watched.
    """

    def __init__(self, detector: BaseDetector) -> None:
        super().__init__()
        neck = getattr(detector, "neck", None)
        self._module = neck if isinstance(neck, nn.Module) else detector.backbone
        self._outputs: list[Tensor] = []

    def __enter__(self) -> "NeckGradients":
        self.watch(self._module, self._keep)
        return self

    def gradient(self, losses: Mapping[str, Any]) -> list[Tensor]:
        """Gradient of a sum of losses, one tensor of 32 bits for each output that was watched.

        The graph stays, and no ``.grad`` is written.

        Args:
            losses: Tensors or lists of tensors by name; those without ``"loss"`` in their name are
                passed over.

        Returns:
            Tensors in the shapes of the outputs; 0 where no loss reaches one.
        """
        values = [value.mean() for value in loss_tensors(losses) if value.requires_grad]
        if not values or not self._outputs:
            return [torch.zeros_like(o, dtype=torch.float32) for o in self._outputs]
        gradients = torch.autograd.grad(
            torch.stack([value.float() for value in values]).sum(),
            self._outputs,
            retain_graph=True,
            allow_unused=True,
        )
        return [
            torch.zeros_like(o, dtype=torch.float32) if g is None else g.detach().float()
            for o, g in zip(self._outputs, gradients, strict=True)
        ]

    def norm(self, losses: Mapping[str, Any]) -> Tensor:
        """Euclidean norm of :meth:`gradient`, over all levels together.

        Args:
            losses: As there.

        Returns:
            A scalar; 0 where no loss reaches the neck.
        """
        squares = [g.square().sum() for g in self.gradient(losses)]
        if not squares:
            return torch.zeros((), device=next(self._module.parameters()).device)
        return torch.stack(squares).sum().sqrt()

    def _keep(self, module: nn.Module, args: Any, output: Any) -> None:
        self._outputs += [tensor for tensor in tensors_in(output) if tensor.requires_grad]


def loss_tensors(losses: Mapping[str, Any]) -> Iterator[Tensor]:
    """The losses among what a detector or a term returned, without what is only logged."""
    for name, value in losses.items():
        if "loss" in name:
            yield from tensors_in(value)
