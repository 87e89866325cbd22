"""Tables over the runs of a comparison: several configs, each trained from several seeds."""

import csv
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tbd.files import replacing, write_file
from tbd.studies.glossary import GLOSSARY
from tbd.visualization.markdown import markdown_table

METRICS = (
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "mask_ap_first",
    "mask_ap",
    "mask_ap75",
    "ap_rare",
    "ap_common",
    "ap_frequent",
    "harmony_score",
    "pearson",
    "calibration_error",
    "mean_confidence",
    "mean_iou",
    "ap_lost",
    "params",
    "milliseconds",
)
"""What is reported of a run, names out of the glossary.

A table shows those that at least one run has. All are of the end of the training, but
``mask_ap_first``.
"""

GAIN = "gain"


@dataclass(frozen=True)
class RunResult:
    """What one trained detector achieved.

    Args:
        name: Name of the config.
        seed: Seed that it was trained from.
        metrics: Name, out of :data:`METRICS`, → value; None where there is none.
    """

    name: str
    seed: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; the latter is None for a single seed."""

    mean: float
    sd: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise at least one value."""
        sd = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), sd, len(values))

    def text(self, number_format: str) -> str:
        """Format as ``mean ± sd``."""
        mean = format(self.mean, number_format)
        return mean if self.sd is None else f"{mean} ± {format(self.sd, number_format.lstrip('+'))}"


def summarize(
    results: Sequence[RunResult], baseline: str | None = None
) -> dict[str, dict[str, Spread]]:
    """Summarise every metric of every config over its seeds.

    Args:
        results: The runs; no two of the same config and seed.
        baseline: Name of a config. Each other config that shares seeds with it gets a ``gain``:
            the difference of APs to the baseline's run of the same seed, over the shared seeds.

    Returns:
        Name of the config → metric → its spread; metrics without a value are left out.
    """
    by_name: dict[str, list[RunResult]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    base = {run.seed: ap for run in by_name.get(baseline or "", []) for ap in _values([run], "ap")}
    summary: dict[str, dict[str, Spread]] = {}
    for name, runs in by_name.items():
        values = {key: _values(runs, key) for key in METRICS}
        if name != baseline:
            values[GAIN] = [
                ap - base[run.seed]
                for run in runs
                if run.seed in base
                for ap in _values([run], "ap")
            ]
        summary[name] = {key: Spread.of(found) for key, found in values.items() if found}
    return summary


def format_table(summary: Mapping[str, Mapping[str, Spread]]) -> str:
    """Format a summary as a Markdown table whose columns line up in plain text too."""
    measured = {key for spreads in summary.values() for key in spreads}
    columns = [key for key in ("ap", GAIN, *METRICS[1:]) if key in measured]
    rows = [["config", "seeds", *(GLOSSARY[key].title for key in columns)]]
    for name, spreads in summary.items():
        cells = [
            spreads[key].text(GLOSSARY[key].number_format) if key in spreads else "–"
            for key in columns
        ]
        rows.append([name, str(max((s.count for s in spreads.values()), default=0)), *cells])
    return markdown_table(rows)


def write_report(
    folder: str | os.PathLike[str],
    results: Sequence[RunResult],
    baseline: str | None,
    machine: Mapping[str, Any],
) -> str:
    """Write ``comparison.json`` (everything), ``.csv`` (one line a run) and ``.md`` (the table).

    Args:
        folder: Existing folder to write to.
        results: The runs.
        baseline: See :func:`summarize`.
        machine: What the numbers were measured on.

    Returns:
        The table.
    """
    summary = summarize(results, baseline)
    table = format_table(summary)
    content = {
        "baseline": baseline,
        "machine": dict(machine),
        "runs": [asdict(result) for result in results],
        "summary": {
            name: {key: asdict(spread) for key, spread in spreads.items()}
            for name, spreads in summary.items()
        },
    }
    target = Path(folder)
    write_file(target / "comparison.json", json.dumps(content, indent=2) + "\n")
    with replacing(target / "comparison.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["config", "seed", *METRICS])
        for result in results:
            writer.writerow([result.name, result.seed, *(result.metrics.get(k) for k in METRICS)])
    measured = ", ".join(f"{key} {value}" for key, value in machine.items())
    write_file(target / "comparison.md", f"{table}\n\nMeasured on: {measured}.\n")
    return table


def _values(runs: Sequence[RunResult], key: str) -> list[float]:
    """Collect one metric of the runs that have it."""
    found = (run.metrics.get(key) for run in runs)
    return [value for value in found if value is not None and math.isfinite(value)]
