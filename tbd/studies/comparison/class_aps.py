"""AP of every class: asked of the evaluator, picked from what it reports, in a table."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.config import Config

from tbd.studies.class_table import PREFIX, class_table
from tbd.studies.comparison.report import RunResult, Spread
from tbd.visualization.markdown import markdown_table


def with_classwise(options: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    """Let the test evaluator report each class.

    Args:
        options: Options of an evaluation; where they replace the evaluator, they give a list.
        cfg: The config that they are merged over.
    """
    if "test_evaluator" in options:
        replaced = [
            {**metric, "classwise": True} if _is_coco(metric) else metric
            for metric in options["test_evaluator"]
        ]
        return {**options, "test_evaluator": replaced}
    evaluator = cfg.get("test_evaluator")
    single = not isinstance(evaluator, list | tuple)
    added = {
        ("test_evaluator" if single else f"test_evaluator.{index}") + ".classwise": True
        for index, metric in enumerate([evaluator] if single else evaluator or ())
        if _is_coco(metric)
    }
    return {**options, **added}


def _is_coco(metric: Mapping[str, Any] | None) -> bool:
    kind = METRICS.get(metric["type"]) if metric else None
    return isinstance(kind, type) and issubclass(kind, CocoMetric)


def class_aps(values: Mapping[str, float]) -> dict[str, float | None]:
    """Pick the AP of each class, in percent, from what an evaluator reported."""
    found = {}
    for key, value in values.items():
        name = re.fullmatch(r"coco/(.+)_precision", key)
        if name:
            # NaN or −1: the test data has no object of the class.
            there = math.isfinite(value) and value >= 0
            found[f"{PREFIX}{name[1]}"] = 100 * value if there else None
    return found


def format_class_table(results: Sequence[RunResult]) -> str:
    """Format the AP of each class as Markdown, mean and deviation over the seeds.

    Args:
        results: The runs.

    Returns:
        The table; of many classes those with most difference between the configs; empty where
        no class was measured.
    """
    spreads: dict[str, dict[str, Spread]] = {}
    for name in dict.fromkeys(result.name for result in results):
        runs = [result for result in results if result.name == name]
        keys = dict.fromkeys(key for run in runs for key in run.metrics if key.startswith(PREFIX))
        values = {
            key.removeprefix(PREFIX): [v for run in runs if (v := run.metrics.get(key)) is not None]
            for key in keys
        }
        spreads[name] = {key: Spread.of(found) for key, found in values.items() if found}
    means = {name: {c: s.mean for c, s in found.items()} for name, found in spreads.items()}
    rows = class_table(means, lambda name, c: spreads[name][c].text(".1f"), "config")
    return markdown_table(rows) if rows else ""
