"""What a distillation promises, watched while it trains."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tbd.detectors import TeacherStudentDetector
from tbd.detectors.modes import evaluating
from tbd.studies.pairs.random_boxes import RandomBoxesDataset
from tbd.studies.pairs.trial_config import EPOCHS


class BrokenDistillationError(RuntimeError):
    """A distillation does not do what it promises."""


class Probe(Hook):
    """Looks at each term's losses and gradients, and at everything that must not change.

    Attributes:
        losses: What was logged, step by step: name → value.
        gradients: Of each term, the student's parts that its gradient reached at the first step.
    """

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.gradients: dict[str, tuple[str, ...]] = {}
        self._before: dict[str, dict[str, Tensor]] = {}

    def before_run(self, runner: Runner) -> None:
        """Bring the activations of both detectors, whose weights are set now, to a usual scale."""
        for detector in _detectors(runner.model).values():
            _gather_statistics(detector, runner.train_dataloader.dataset)

    def before_train(self, runner: Runner) -> None:
        """Remember the weights of both detectors, and read along where losses are summed."""
        model = runner.model
        self._before = {role: _weights(detector) for role, detector in _detectors(model).items()}
        sum_up = model.parse_losses

        def trace(losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
            if not self.gradients:
                self.gradients = {
                    name: tuple(_parts_reached(model, losses_of(name, losses).values()))
                    for name in model.terms
                }
            return sum_up(losses)

        model.parse_losses = trace

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any | None = None,
        outputs: Any | None = None,
    ) -> None:
        """Keep the losses that were logged."""
        if not self.losses:
            # On the first batch a teacher is made ready to run, which may fold its norms.
            self._before |= {role: _weights(d) for role, d in _teacher(runner.model).items()}
        self.losses.append({key: float(value) for key, value in (outputs or {}).items()})

    def check(self, model: TeacherStudentDetector, all_terms: bool) -> None:
        """Compare what was seen with what a distillation promises.

        Args:
            model: The distillation.
            all_terms: Every term that there is took part, so some of them must reach the heads.

        Raises:
            BrokenDistillationError: The first promise that is broken.
        """
        if len(self.losses) != EPOCHS:
            raise BrokenDistillationError(
                f"{len(self.losses)} steps were trained in place of {EPOCHS}."
            )
        for step, losses in enumerate(self.losses):
            for key, value in losses.items():
                if not torch.isfinite(torch.tensor(value)):
                    raise BrokenDistillationError(f"{key} is {value} at step {step}.")
            for name in model.terms:
                for key, value in losses_of(name, losses).items():
                    if value == 0:
                        raise BrokenDistillationError(f"{name}.{key} is 0 at step {step}.")
        self._check_gradients(model, all_terms)
        self._check_weights(model)

    def _check_gradients(self, model: TeacherStudentDetector, all_terms: bool) -> None:
        features = ["backbone", "neck"] if model.student.with_neck else ["backbone"]
        wanted = {name: set(features) for name in model.terms}
        reached = {name: set(parts) for name, parts in self.gradients.items()}
        heads = {model.student_head} if model.student_head else set()
        if any("rois" in term.reads for term in model.terms.values()):
            heads.add("roi_head")
        # A term on features reads predictions as constants, so no single one has to reach them.
        wanted["all terms together"] = heads if all_terms else set()
        reached["all terms together"] = set().union(*reached.values())
        for name, parts in wanted.items():
            if parts - reached[name]:
                raise BrokenDistillationError(
                    f"The gradient of {name} does not reach the student's "
                    f"{', '.join(sorted(parts - reached[name]))}."
                )

    def _check_weights(self, model: TeacherStudentDetector) -> None:
        unchanged = {
            role: all(
                torch.equal(value, self._before[role][key])
                for key, value in detector.state_dict().items()
            )
            for role, detector in _detectors(model).items()
        }
        if unchanged["student"]:
            raise BrokenDistillationError("Two steps of the optimizer left the student as it was.")
        if not unchanged.get("teacher", True):
            raise BrokenDistillationError("The teacher's weights or statistics have changed.")
        parameters = [p for detector in _teacher(model).values() for p in detector.parameters()]
        if any(p.requires_grad or p.grad is not None for p in parameters):
            raise BrokenDistillationError("The teacher has parameters with a gradient.")


def losses_of(term: str, losses: Mapping[str, Any]) -> dict[str, Any]:
    """Losses of one term, by their names inside it, out of all losses of a step."""
    prefix = f"{term}."
    return {
        key.removeprefix(prefix): value
        for key, value in losses.items()
        if key.startswith(prefix) and "loss" in key
    }


def _weights(detector: BaseDetector) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in detector.state_dict().items()}


def _detectors(model: TeacherStudentDetector) -> dict[str, BaseDetector]:
    return {"student": model.student} | _teacher(model)


def _teacher(model: TeacherStudentDetector) -> dict[str, BaseDetector]:
    return {"teacher": model.teacher} if model.has_teacher else {}


@torch.no_grad()
def _gather_statistics(detector: BaseDetector, images: RandomBoxesDataset) -> None:
    """Normalise the activations of random weights, which grow without bound in a deep network.

    Pretrained backbones bring statistics that fit their weights.
    """

    def adopt(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if norm.running_mean is None or norm.running_var is None:
            return
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        # A channel that hardly varies over so few pixels would amplify the least difference.
        norm.running_var.copy_(variance.clamp(min=variance.mean()))

    norms = [module for module in detector.modules() if isinstance(module, _BatchNorm)]
    data = dict(inputs=[images[index]["inputs"] for index in range(len(images))])
    with evaluating(detector), ExitStack() as hooks:
        for norm in norms:
            hooks.enter_context(norm.register_forward_pre_hook(adopt))
        detector.extract_feat(detector.data_preprocessor(data, False)["inputs"])


def _parts_reached(model: TeacherStudentDetector, losses: Iterable[Tensor]) -> Iterable[str]:
    """Names of the student's children with a gradient of the losses' sum that is not 0."""
    parts = {
        name: [parameter for parameter in part.parameters() if parameter.requires_grad]
        for name, part in model.student.named_children()
    }
    trained = [parameter for parameters in parts.values() for parameter in parameters]
    gradients = torch.autograd.grad(
        torch.stack(list(losses)).sum(), trained, retain_graph=True, allow_unused=True
    )
    reached = {
        id(parameter)
        for parameter, gradient in zip(trained, gradients, strict=True)
        if gradient is not None and gradient.any()
    }
    for name, parameters in parts.items():
        if any(id(parameter) in reached for parameter in parameters):
            yield name
