"""Weights that a student starts from: a checkpoint of a plain detector, as a whole or in part."""

import logging
from collections.abc import Mapping, MutableMapping

from mmdet.models.detectors.base import BaseDetector
from mmengine.logging import print_log
from torch import Tensor

from tbd.detectors.finite_weights import check_finite_weights
from tbd.detectors.weights import (
    STUDENT_PREFIX,
    TERM_PREFIX,
    list_first,
    load_named,
    load_strictly,
    reshaped_keys,
    student_state_dict,
    without_copies,
)


def load_student(student: BaseDetector, source: str, partial: bool) -> str:
    """Load the weights that a student starts from.

    Args:
        student: The detector to fill.
        source: Path or URL of a checkpoint: of a plain detector, or of a distillation whose
            student is meant.
        partial: Load what has the name and shape of a weight of the student and leave the rest
            as it is, where strict loading is an error.

    Returns:
        A report of what was loaded.

    Raises:
        ValueError: The checkpoint is not of this architecture; or, if ``partial``, nothing fits.
    """
    checkpoint = load_named("student_ckpt", source)
    name = f"student_ckpt={source!r}"
    if not partial:
        count = load_strictly(
            student,
            checkpoint,
            name,
            role="student",
            advice="Set 'student' (or 'student_options') to the config that this checkpoint was "
            "trained with; or set 'student_ckpt_partial' to True to load what fits.",
        )
        return f"{count} tensors from {source} (none missing, none unexpected)"
    check_finite_weights(checkpoint, name, "Take an earlier checkpoint of that training.")
    own = student.state_dict()
    weights = without_copies(student_state_dict(checkpoint.get("state_dict", checkpoint)), own)
    reshaped = reshaped_keys(weights, own)
    fitting = {key: value for key, value in weights.items() if key not in reshaped}
    # The modules' own loading renames the keys of older MMDetection releases.
    result = student.load_state_dict(fitting, strict=False)
    missing = [key for key in result.missing_keys if key not in reshaped]
    count = len(own) - len(result.missing_keys)
    if not count:
        raise ValueError(
            f"{name}, student_ckpt_partial=True: nothing in it has the name and shape of a weight "
            f"of the student {type(student).__name__}."
            + list_first("in the checkpoint", list(weights))
            + list_first("in the student", list(own))
        )
    return (
        f"{count} of {len(own)} tensors from {source} (student_ckpt_partial=True)"
        + list_first("left as initialised", missing)
        + list_first("not used", list(result.unexpected_keys))
        + list_first("of another shape, left as initialised", list(reshaped.values()))
    )


def take_plain_weights(
    state_dict: MutableMapping[str, Tensor], own: Mapping[str, Tensor], prefix: str = ""
) -> None:
    """Rename, in place, weights of a plain detector to those of a distillation's student.

    MMEngine's ``load_from`` passes over what does not fit, so that a plain checkpoint would load
    nothing at all. What is renamed is logged, with what it does not cover.

    Args:
        state_dict: What is about to be loaded into a distillation.
        own: State dict of the student.
        prefix: Of the distillation's own keys.

    Raises:
        ValueError: Nothing in it has the name and shape of a weight of the student.
    """
    student, terms = prefix + STUDENT_PREFIX, prefix + TERM_PREFIX
    found = [key for key in state_dict if key.startswith(prefix) and not key.startswith(terms)]
    if not found:
        return
    plain = not any(key.startswith(student) for key in found)
    if plain:
        renamed = {student + key.removeprefix(prefix): state_dict.pop(key) for key in found}
        state_dict.update(renamed)
    weights = {
        key.removeprefix(student): value
        for key, value in state_dict.items()
        if key.startswith(student)
    }
    reshaped = reshaped_keys(weights, own)
    count = sum(key in own and key not in reshaped for key in weights)
    if not count:
        raise ValueError(
            "load_from: nothing in this checkpoint has the name and shape of a weight of the "
            "student, which would start from random weights. Take a checkpoint of the student's "
            "config, or leave load_from out."
            + list_first("in the checkpoint", list(weights))
            + list_first("in the student", list(own))
        )
    if plain:
        print_log(
            f"A plain detector's checkpoint is loaded as the student: {count} of {len(own)} tensors"
            + list_first("left as initialised", [key for key in own if key not in weights])
            + list_first("not used", [key for key in weights if key not in own])
            + list_first("of another shape, left as initialised", list(reshaped.values())),
            "current",
            logging.INFO if count == len(own) == len(weights) else logging.WARNING,
        )
