"""Which part of a distillation pulled how hard, over the runs of a comparison."""

import json
import statistics
from collections.abc import Sequence

from tbd.engine.hooks.gradient_shares import gradient_shares
from tbd.studies.comparison.runs import Run
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
        path = run.folder / GRADIENT_FILE
        if not path.is_file():
            continue
        norms = json.loads(path.read_text())
        ordered = [gradient_shares(norms[key]) for key in sorted(norms, key=int)]
        # Short runs have their moments at one iteration; interrupted ones may lack some.
        if len(ordered) == len(MOMENTS):
            by_name.setdefault(run.name, []).append(ordered)
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
