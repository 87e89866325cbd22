"""Which part of a distillation pulled how hard, over the runs of a comparison."""

import statistics
from collections.abc import Sequence

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.hooks.gradient_shares import gradient_shares
from tbd.studies.comparison.runs import Run, read_dict
from tbd.visualization.markdown import markdown_table

GRADIENT_FILE = "gradients.json"
"""Norms of the gradients on the student's neck, in the folder of a run."""

MOMENTS = ("start", "middle", "end")


def format_gradient_shares(runs: Sequence[Run]) -> str:
    """Format each loss's share of the gradient's norm on the student's neck.

    Args:
        runs: Runs; those that were trained without measuring it are passed over.

    Returns:
        A Markdown table of the means over the seeds; empty where no run was measured.
    """
    by_name: dict[str, list[list[dict[str, float]]]] = {}
    for run in runs:
        if (shares := _read_shares(run)) is not None:
            by_name.setdefault(run.name, []).append(shares)
    rows = [["config", "loss", *MOMENTS]]
    for name, found in by_name.items():
        losses = dict.fromkeys(loss for run in found for shares in run for loss in shares)
        for loss in losses:
            means = [
                statistics.fmean(run[moment].get(loss, 0.0) for run in found)
                for moment in range(len(MOMENTS))
            ]
            rows.append([name, loss, *(f"{mean:.0%}" for mean in means)])
    return markdown_table(rows) if len(rows) > 1 else ""


def distillations_without_shares(runs: Sequence[Run]) -> list[Run]:
    """List the distillations among some runs whose shares are not known."""
    return [
        run for run in runs if _read_shares(run) is None and run.load().model.type in WRAPPER_TYPES
    ]


def _read_shares(run: Run) -> list[dict[str, float]] | None:
    norms = read_dict(run.folder / GRADIENT_FILE) or {}
    # Short runs have their moments at one iteration; interrupted ones may lack some.
    if len(norms) != len(MOMENTS):
        return None
    return [gradient_shares(norms[key]) for key in sorted(norms, key=int)]
