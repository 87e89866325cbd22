"""Moving weights: into the teacher, from the teacher to the student, out to a plain detector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict
from torch import Tensor, nn

from tbd.compat import load_checkpoint
from tbd.detectors.checkpoint_content import check_content
from tbd.detectors.classes import checkpoint_classes
from tbd.detectors.finite_weights import check_finite_weights

STUDENT_PREFIX = "student."
TERM_PREFIX = "distill."

_SHOWN = 5


@dataclass(frozen=True)
class TeacherWeights:
    """What was read into the teacher.

    Attributes:
        source: Checkpoint path or URL.
        num_keys: Number of tensors loaded.
        classes: Class names that the checkpoint was trained for, if it says.
    """

    source: str
    num_keys: int
    classes: tuple[str, ...] | None


def student_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a plain detector from a checkpoint of a distillation.

    Args:
        state_dict: Of a :class:`~tbd.TeacherStudentDetector` or of a plain
            detector, which is returned as it is; a ``module.`` prefix is
            dropped.

    Returns:
        The same tensors under the keys of the plain detector.
    """
    plain = {key.removeprefix("module."): value for key, value in state_dict.items()}
    if not any(key.startswith(STUDENT_PREFIX) for key in plain):
        return plain
    return _below(STUDENT_PREFIX, plain)


def without_copies(
    state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Leave out weights that a checkpoint holds twice, under a key that a fresh model lacks.

    DDQ's decoder gets hold of branches of the head when it first runs, so that
    its checkpoints name them ``decoder.aux_reg_branches…`` too.

    Args:
        state_dict: Of the checkpoint.
        own: Of the freshly built model.

    Returns:
        The checkpoint's without keys that ``own`` does not have and whose
        tensor is also there under one that it has, of the same name but for
        the first part.
    """
    known: dict[str, list[str]] = {}
    for key in own:
        known.setdefault(key.partition(".")[2], []).append(key)

    def is_copy(key: str) -> bool:
        return key not in own and any(
            other in state_dict and torch.equal(state_dict[key], state_dict[other])
            for other in known.get(key.partition(".")[2], ())
        )

    return {key: value for key, value in state_dict.items() if not is_copy(key)}


def load_strictly(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    source: str,
    *,
    role: str = "config's detector",
    advice: str = "Use the config that the checkpoint was trained with.",
) -> int:
    """Load a checkpoint into a plain detector, or refuse it as a whole.

    Args:
        model: The plain detector to fill.
        checkpoint: Of a plain detector, or of a distillation whose student is meant; with or
            without meta data around the weights.
        source: What the user calls the checkpoint, such as ``"teacher_ckpt='a.pth'"``.
        role: What the user calls the detector.
        advice: What the user can change.

    Returns:
        Number of tensors loaded.

    Raises:
        ValueError: The checkpoint is not of this architecture; the message names the first keys
            that are missing, unexpected or of another shape. Or its weights are no numbers.
    """
    check_content(checkpoint, source)
    check_finite_weights(checkpoint, source, "Take an earlier checkpoint of that training.")
    own = model.state_dict()
    weights = without_copies(student_state_dict(checkpoint.get("state_dict", checkpoint)), own)
    reshaped = list(reshaped_keys(weights, own).values())
    reshaped += [
        f"{key} of another kind of number: {weights[key].dtype} for {own[key].dtype}"
        for key in own
        if key in weights and weights[key].is_floating_point() != own[key].is_floating_point()
    ]
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    if not reshaped:
        # The modules' own loading renames the keys of older MMDetection releases.
        try:
            result = model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            reshaped = [str(error)]
        else:
            missing, unexpected = list(result.missing_keys), list(result.unexpected_keys)
    if missing or unexpected or reshaped:
        raise ValueError(
            f"{source} is not a checkpoint of the {role} {type(model).__name__}:"
            + list_first("missing in the checkpoint", missing)
            + list_first("unexpected in the checkpoint", unexpected)
            + list_first("of another shape", reshaped)
            + f"\n{advice}"
        )
    return len(weights)


def describe_differences(model: nn.Module, state_dict: Mapping[str, Tensor]) -> str:
    """Compare the names and shapes of a model's weights with those of a checkpoint of its kind.

    Args:
        model: A distillation or a plain detector.
        state_dict: Of the checkpoint.

    Returns:
        A line for each kind of difference with the first keys, empty if there is none.
    """
    own = model.state_dict()
    found = {key.removeprefix("module."): value for key, value in state_dict.items()}
    # Of a distillation the student's part, whose keys have a prefix.
    prefix = STUDENT_PREFIX if any(key.startswith(STUDENT_PREFIX) for key in own) else ""
    student = without_copies(_below(prefix, found), _below(prefix, own))
    found = {
        key: value
        for key, value in found.items()
        if not key.startswith(prefix) or key.removeprefix(prefix) in student
    }
    return (
        list_first("missing in the checkpoint", [key for key in own if key not in found])
        + list_first("unexpected in the checkpoint", [key for key in found if key not in own])
        + list_first("of another shape", list(reshaped_keys(found, own).values()))
    )


def _below(prefix: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value
        for key, value in state_dict.items()
        if key.startswith(prefix)
    }


def reshaped_keys(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """Find the weights whose shape is another one in a checkpoint than in a model.

    Args:
        found: Of the checkpoint.
        own: Of the model.

    Returns:
        Key → key with both shapes, in words.
    """
    return {
        key: f"{key} {list(value.shape)} in the checkpoint, {list(own[key].shape)} in the model"
        for key, value in found.items()
        if key in own and value.shape != own[key].shape
    }


def load_named(key: str, source: str) -> dict[str, Any]:
    """Load the checkpoint that a key of the model names.

    Raises:
        FileNotFoundError: There is none; the message names the key.
        ConnectionError: It cannot be downloaded; likewise.
        ValueError: It is no checkpoint, or would run code; likewise.
    """
    try:
        return load_checkpoint(source)
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        for kind in (FileNotFoundError, ConnectionError):
            if isinstance(error, kind):
                raise kind(f"model.{key}={source!r}: {error}") from error
        raise ValueError(f"model.{key}={source!r}: {error}") from error


def load_teacher(teacher: BaseDetector, source: str) -> TeacherWeights:
    """Load a teacher's weights strictly.

    Args:
        teacher: The detector to fill.
        source: Checkpoint path or URL: of a plain detector, or of a
            distillation whose student becomes the teacher.

    Returns:
        What was loaded.

    Raises:
        ValueError: The checkpoint is not of this architecture, see :func:`load_strictly`.
    """
    checkpoint = load_named("teacher_ckpt", source)
    num_keys = load_strictly(
        teacher,
        checkpoint,
        f"teacher_ckpt={source!r}",
        role="teacher",
        advice="Set 'teacher' to the config that this checkpoint was trained with, or "
        "'teacher_ckpt' to a checkpoint of that config.",
    )
    return TeacherWeights(source, num_keys, checkpoint_classes(checkpoint))


def inherit_from_teacher(student: BaseDetector, teacher: BaseDetector) -> str:
    """Copy the teacher's neck and dense head where names and shapes match.

    Args:
        student: The detector to initialise.
        teacher: The detector to copy from.

    Returns:
        A report of what was and what was not copied.

    Raises:
        ValueError: if nothing at all matches.
    """
    lines, copied_any = [], False
    for name in ("neck", "rpn_head", "bbox_head"):
        target, source = getattr(student, name, None), getattr(teacher, name, None)
        if not (isinstance(target, nn.Module) and isinstance(source, nn.Module)):
            continue
        own, offered = target.state_dict(), source.state_dict()
        fitting = {
            key: value
            for key, value in offered.items()
            if key in own and own[key].shape == value.shape
        }
        target.load_state_dict(fitting, strict=False)
        copied_any = copied_any or bool(fitting)
        skipped = [key for key in own if key not in fitting]
        lines.append(
            f"  {name}: {len(fitting)} of {len(own)} tensors copied from the teacher"
            + list_first("not copied", skipped)
        )
    if not copied_any:
        raise ValueError(
            "student_init='inherit': no tensor of the student's neck or dense head has the name "
            f"and shape of one of the teacher's (student {type(student).__name__}, teacher "
            f"{type(teacher).__name__}). Set student_init=None, or give both the same widths."
        )
    return "Student initialised from the teacher:\n" + "\n".join(lines)


def without_pretrained(config: ConfigDict) -> ConfigDict:
    """Return a model config that downloads no pretrained weights of its own."""

    def strip(node: Any) -> Any:
        if isinstance(node, Mapping):
            return ConfigDict(
                {
                    key: None if key == "init_cfg" and _is_pretrained(value) else strip(value)
                    for key, value in node.items()
                }
            )
        if isinstance(node, list | tuple):
            return type(node)(strip(item) for item in node)
        return node

    return strip(config)


def _is_pretrained(init_cfg: Any) -> bool:
    return isinstance(init_cfg, Mapping) and init_cfg.get("type") == "Pretrained"


def list_first(what: str, items: list[str]) -> str:
    """Name the first of some keys on a line of its own; empty if there are none."""
    if not items:
        return ""
    more = f", … ({len(items) - _SHOWN} more)" if len(items) > _SHOWN else ""
    return f"\n    {what}: {', '.join(items[:_SHOWN])}{more}"
