"""Terms that no user needs: one for each kind of thing that a term may read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

from tbd.distill import DetectorSpec, DistillationTerm, View
from tbd.modules import build_adaptation
from tbd.registry import MODELS


class Probe(DistillationTerm):
    """Keeps the views that it is shown; its loss is the mean square of what it finds."""

    def __init__(
        self,
        reads: Iterable[str],
        student_modules: Iterable[str] = (),
        teacher_modules: Iterable[str] = (),
        preactivations: Iterable[int] = (),
    ) -> None:
        super().__init__()
        self.reads = frozenset(reads)  # type: ignore[arg-type]
        self.student_modules = tuple(student_modules)
        self.teacher_modules = tuple(teacher_modules)
        self._preactivations = frozenset(preactivations)
        self.specs: tuple[DetectorSpec, ...] = ()
        self.seen: list[tuple[View, View]] = []

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        self.specs = (student, teacher)
        self.preactivations = self._preactivations

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        self.seen.append((student, teacher))
        found = [
            *student.features,
            *student.backbone,
            *(student.predictions.cls_logits if student.predictions else ()),
            *(student.queries.cls_logits if student.queries else ()),
            *(stage.cls_logits for stage in student.rois or ()),
            *(output for calls in student.outputs.values() for output in calls),
        ]
        if student.head_features:
            found += [level for conv in student.head_features.cls for level in conv]
        tensors = [item for item in found if isinstance(item, Tensor)]
        return {"loss_probe": torch.stack([t.float().square().mean() for t in tensors]).sum()}


class CrossHead(DistillationTerm):
    """The student's tower features, through the rest of the teacher's head."""

    reads = frozenset({"head_features", "head", "predictions"})

    def __init__(self, depth: int = 1) -> None:
        super().__init__()
        self.depth = depth
        self.adaptations = nn.ModuleList()

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        assert student.head is not None
        assert teacher.head is not None
        towers = student.head.towers, teacher.head.towers
        self.adaptations = nn.ModuleList(
            build_adaptation("auto", own[self.depth - 1], other[self.depth - 1])
            for own, other in (
                (towers[0].cls_channels, towers[1].cls_channels),
                (towers[0].reg_channels, towers[1].reg_channels),
            )
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        cls, reg = (
            [adapt(level) for level in tower[self.depth - 1]]
            for adapt, tower in zip(
                self.adaptations,
                (student.head_features.cls, student.head_features.reg),
                strict=True,
            )
        )
        crossed = teacher.head.predict_from(self.depth, cls, reg)
        losses = [
            (own - other).abs().mean()
            for pair in (
                (crossed.cls_logits, teacher.predictions.cls_logits),
                (crossed.boxes, teacher.predictions.boxes),
            )
            for own, other in zip(*pair, strict=True)
        ]
        return {"loss_crossed": torch.stack(losses).sum()}


class Adversarial(DistillationTerm):
    """A discriminator that trains in the same backward pass as the student that it judges."""

    reads = frozenset({"features"})

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.adaptation = nn.Conv2d(channels, channels, 1)
        self.discriminator = nn.Conv2d(channels, 1, 3, padding=1)

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        self.adaptation = nn.Conv2d(student.channels[0], teacher.channels[0], 1)
        self.discriminator = nn.Conv2d(teacher.channels[0], 1, 3, padding=1)

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        fake = self.adaptation(student.features[0].float())
        real = teacher.features[0].float()
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        judged = functional_call(self.discriminator, frozen, (fake,))
        return {
            "loss_student": _bce(judged, 1.0),
            "loss_discriminator": _bce(self.discriminator(fake.detach()), 0.0)
            + _bce(self.discriminator(real), 1.0),
        }


def _bce(logits: Tensor, target: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


@contextmanager
def registered() -> Iterator[None]:
    """Let configs name these terms for a while; others list all terms that there are."""
    kinds = {f"Testing{kind.__name__}": kind for kind in (Probe, CrossHead, Adversarial)}
    for name, kind in kinds.items():
        MODELS.register_module(module=kind, name=name)
    try:
        yield
    finally:
        for name in kinds:
            del MODELS._module_dict[name]


def probe(*reads: str, **options: Any) -> dict[str, Any]:
    """Config of distillation terms that is nothing but a probe."""
    return dict(hd=None, tfd=None, probe=dict(type="tbd.TestingProbe", reads=reads, **options))
