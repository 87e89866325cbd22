"""One distillation step of tiny detectors, for tests of single terms."""

from collections.abc import Mapping, Sequence
from typing import Any

import tiny
import torch
from torch import Tensor
from views import view

from tbd.distill import DetectorSpec, View
from tbd.registry import MODELS


def feature_spec(role: str, *channels: int) -> DetectorSpec:
    """A detector of which only the channels of its pyramid levels are known."""
    strides = tuple((2 ** (level + 3),) * 2 for level in range(len(channels)))
    return DetectorSpec(role, "Detector", "neck", channels, strides, None)


def half_precision_views(shapes: Sequence[tuple[int, ...]], **parts: Any) -> tuple[View, View]:
    """Views of a student and a teacher whose random features are in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        view(
            features=tuple(torch.randn(shape, generator=generator).bfloat16() for shape in shapes),
            **parts,
        )
        for _ in range(2)
    )
    return student, teacher


def distilled(
    student: Mapping[str, Any],
    teacher: Mapping[str, Any],
    term: Mapping[str, Any],
    idle: Sequence[str] = (),
    **options: Any,
) -> dict[str, Tensor]:
    """Run one training step with one term, and see to it that its gradients arrive.

    Args:
        student: Model config.
        teacher: Model config; its weights are random.
        term: Config of the term.
        idle: Parts of the names of parameters of the term that have no gradient yet.
        options: Arguments of :func:`tiny.batch`.

    Returns:
        What the term returned; losses are finite and none is negative.
    """
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(student=student, teacher=teacher, distill=dict(term=dict(term)))
    )
    model.init_weights()
    model.train()
    values = {
        key.removeprefix("term."): value
        for key, value in model(**tiny.batch(model, **options), mode="loss").items()
        if key.startswith("term.")
    }
    losses = [value for key, value in values.items() if "loss" in key]
    assert all(loss.isfinite() and loss >= 0 for loss in losses)
    torch.stack(losses).sum().backward()
    assert any(moved(p) for p in model.student.backbone.parameters())
    for name, parameter in model.distill.named_parameters():
        assert moved(parameter) != any(part in name for part in idle), name
    assert all(p.grad is None for p in model.teacher.parameters())
    return values


def moved(parameter: Tensor) -> bool:
    """Whether a gradient arrived."""
    return parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
