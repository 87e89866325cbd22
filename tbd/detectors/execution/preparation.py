"""What is done to a frozen teacher once, on its first batch, so that it runs fast from then on."""

import logging
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.logging import print_log
from torch import nn

from tbd.detectors.execution.half_precision import cast_weights
from tbd.detectors.execution.norm_folding import FoldedNorms, NormTrace, has_norms
from tbd.detectors.execution.options import TeacherExecution
from tbd.detectors.execution.packed_weights import InputSizes
from tbd.detectors.recorder import OutputRecorder
from tbd.detectors.tensors import tensors_in

TOLERANCE = 1e-5
"""Largest change of an output, as a share of its largest value, that passes for rounding."""

NOTABLE = 0.05
"""Deviation of an output in half precision, as a share of its norm, that is warned of."""


def prepare(
    detector: BaseDetector,
    execution: TeacherExecution,
    run: Callable[[], OutputRecorder],
    recorded: Collection[nn.Module],
    shared: Collection[nn.Module],
    mixed: bool = False,
) -> OutputRecorder:
    """Change weights in place as the options say, and see that the outputs stay what they were.

    Args:
        detector: The teacher, its weights loaded.
        execution: The options.
        run: Runs it on the first batch, as it is then.
        recorded: Modules whose outputs are read.
        shared: Modules that are also run elsewhere, in float32.
        mixed: It is run under mixed precision from then on.

    Returns:
        What was recorded in float32 when all else was done.

    Raises:
        ValueError: if a weight is out of the range of ``execution.dtype``.
    """
    sizes = InputSizes(detector, kept=shared)
    packs = execution.packs and not mixed
    with sizes if packs else nullcontext():
        if execution.fold_norms and has_norms(detector):
            record = _fold(detector, run, recorded)
        else:
            record = run()
    if execution.channels_last:
        detector.to(memory_format=torch.channels_last)
        record = run()
    if packs:
        record = _pack(detector, sizes, run, record)
    if execution.dtype in ("bf16", "fp16"):
        cast_weights(detector, str(execution.dtype), kept=shared)
    return record


def deviation(first: Any, second: Any) -> float:
    """Largest difference of two outputs, as a share of the largest value.

    Infinite where they are not of the same form.
    """
    ours, theirs = list(tensors_in(first)), list(tensors_in(second))
    if [t.shape for t in ours] != [t.shape for t in theirs]:
        return float("inf")
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        if one.numel() and one.is_floating_point():
            scale = float(one.abs().amax())
            worst = max(worst, float((one - other).abs().amax()) / max(scale, 1e-30))
    return worst


def report_deviation(exact: OutputRecorder, half: OutputRecorder, dtype: str) -> None:
    """Say how far the outputs of half precision are from the exact ones; warn where it is much."""
    shares = {name: _share(exact.outputs(name), half.outputs(name)) for name in exact.calls}
    text = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
    large = max(shares.values(), default=0.0) > NOTABLE
    advice = (
        " That is much: the range or the resolution of this precision is too small for this "
        "teacher; compare with teacher_execution.dtype=None."
        if large
        else ""
    )
    print_log(
        f"The teacher runs in {dtype}; on the first batch its outputs deviate from float32, as "
        f"a share of their norm, by: {text}.{advice}",
        logger="current",
        level=logging.WARNING if large else logging.INFO,
    )


def _fold(
    detector: BaseDetector, run: Callable[[], OutputRecorder], recorded: Collection[nn.Module]
) -> OutputRecorder:
    with NormTrace(detector, kept=recorded) as trace:
        original = run()
    pairs = trace.pairs()
    if not pairs:
        return original
    folded = FoldedNorms(detector, pairs)
    record = run()
    change = max(deviation(original.outputs(name), record.outputs(name)) for name in original.calls)
    if change <= TOLERANCE:
        return record
    folded.undo()
    print_log(
        f"The batch norms of the teacher {type(detector).__name__} stay as they are: folded into "
        f"its convolutions they would change its outputs by {change:.1e} of their largest value, "
        f"more than {TOLERANCE:.0e}. teacher_execution.fold_norms=False leaves out the attempt.",
        logger="current",
        level=logging.WARNING,
    )
    return original


def _pack(
    detector: BaseDetector,
    sizes: InputSizes,
    run: Callable[[], OutputRecorder],
    original: OutputRecorder,
) -> OutputRecorder:
    """Pack weights where the detector goes on to do the same; returns its outputs."""
    if not sizes.pack():
        return original
    try:
        record = run()
        change = max(
            deviation(original.outputs(name), record.outputs(name)) for name in original.calls
        )
        found = f"its outputs would change by {change:.1e} of their largest value"
    except RuntimeError as error:
        # As of a view of what has the channels innermost.
        change, found = float("inf"), f"it would fail ({error})"
    if change <= TOLERANCE:
        # Which the first batch is to be computed with as all others, to be the same when resumed.
        return record
    sizes.unpack()
    print_log(
        f"The weights of the teacher {type(detector).__name__} stay as they are: packed for the "
        f"CPU, {found}. Leave out teacher_execution.pack_weights.",
        logger="current",
        level=logging.WARNING,
    )
    return original


def _share(exact: Any, half: Any) -> float:
    worst = 0.0
    for one, other in zip(tensors_in(exact), tensors_in(half), strict=True):
        if one.numel() and one.is_floating_point():
            norm = float(one.float().norm())
            worst = max(worst, float((one - other).float().norm()) / max(norm, 1e-30))
    return worst
