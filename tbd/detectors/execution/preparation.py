"""What is done to a frozen teacher once, on its first batch, so that it runs fast from then on."""

import logging
from collections.abc import Callable, Collection
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.logging import print_log
from torch import nn

from tbd.detectors.execution.half_precision import cast_weights
from tbd.detectors.execution.norm_folding import FoldedNorms, NormTrace, has_norms
from tbd.detectors.execution.options import TeacherExecution
from tbd.detectors.execution.packed_weights import Packing
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
    if execution.channels_last:
        detector.to(memory_format=torch.channels_last)
    name = type(detector).__name__
    packs = execution.packs and not mixed
    exact: OutputRecorder | None = None
    folded: FoldedNorms | None = None
    if execution.fold_norms and has_norms(detector):
        with NormTrace(detector, kept=recorded) as trace:
            exact = run()
        if pairs := trace.pairs():
            folded = FoldedNorms(detector, pairs)
    against = ""
    if packs:
        record, against = _run_packed(detector, run, shared, exact)
        if record is not None:
            return record
    record = run() if exact is None or folded is not None else exact
    if exact is not None and folded is not None and (change := _change(exact, record)) > TOLERANCE:
        folded.undo()
        record = exact
        _warn(
            f"The batch norms of the teacher {name} stay as they are: folded into its convolutions "
            f"they would change its outputs by {change:.1e} of their largest value, more than "
            f"{TOLERANCE:.0e}. teacher_execution.fold_norms=False leaves out the attempt."
        )
        if packs:
            # Which was refused together with them.
            packed, against = _run_packed(detector, run, shared, exact)
            if packed is not None:
                return packed
    if against:
        _warn(
            f"The weights of the teacher {name} stay as they are: packed for the CPU, {against}. "
            "teacher_execution.pack_weights=False leaves out the attempt."
        )
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


def _run_packed(
    detector: BaseDetector,
    run: Callable[[], OutputRecorder],
    shared: Collection[nn.Module],
    exact: OutputRecorder | None,
) -> tuple[OutputRecorder | None, str]:
    """Pack weights while the detector runs on the first batch.

    It is not run twice for this: each convolution is tried by itself.

    Args:
        detector: The detector.
        run: Runs it.
        shared: Modules that are not to be packed.
        exact: What it put out before its weights were changed, if it was run then.

    Returns:
        What was recorded, or None and why nothing is packed.
    """
    packing = Packing(detector, kept=shared)
    try:
        with packing:
            record = run()
    except RuntimeError as error:
        # As of a view of what has the channels innermost. What has nothing to do with the
        # weights is raised again when the detector runs without.
        packing.undo()
        return None, f"it would fail ({error})"
    change = 0.0 if exact is None else _change(exact, record)
    if change > TOLERANCE:
        packing.undo()
        return None, f"its outputs would change by {change:.1e} of their largest value"
    packing.report()
    return record, ""


def _change(exact: OutputRecorder, record: OutputRecorder) -> float:
    return max(deviation(exact.outputs(name), record.outputs(name)) for name in exact.calls)


def _warn(text: str) -> None:
    print_log(text, logger="current", level=logging.WARNING)


def _share(exact: Any, half: Any) -> float:
    worst = 0.0
    for one, other in zip(tensors_in(exact), tensors_in(half), strict=True):
        if one.numel() and one.is_floating_point():
            norm = float(one.float().norm())
            worst = max(worst, float((one - other).float().norm()) / max(norm, 1e-30))
    return worst
