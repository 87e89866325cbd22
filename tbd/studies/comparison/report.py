"""Tables over the runs of a comparison: several configs, each trained from several seeds."""

import csv
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tbd.files import replacing, write_file
from tbd.studies.glossary import GLOSSARY
from tbd.studies.statistics import mean_interval, paired_differences
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
    "gflops",
    "milliseconds",
    "onnx_milliseconds",
    "step_cost",
)
"""What is reported of a run, names out of the glossary.

A table shows those that at least one run has. All are of the end of the training, but
``mask_ap_first``.
"""

GAIN = "gain"
GAP_CLOSED = "gap_closed"


@dataclass(frozen=True)
class RunResult:
    """What one trained detector achieved.

    Args:
        name: Name of the config.
        seed: Seed that it was trained from.
        metrics: Name, out of :data:`METRICS`, → value; None where there is none.
        config_hash: Stands for all that the config says, apart from seed and paths; None where
            it was not written down.
        train_seconds: How long the training ran; None likewise.
        versions: Package → version that the run was measured with, and ``processor`` → its name.
    """

    name: str
    seed: int
    metrics: Mapping[str, float | None]
    config_hash: str | None = None
    train_seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Gain(Spread):
    """A mean difference over pairs of runs, and its 95 % interval of Student's t over the seeds.

    Attributes:
        low: Lower end of the interval; None for a single seed, which bounds nothing.
        high: Upper end, likewise.
    """

    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Gain":
        """Summarise the differences, at least one."""
        spread = Spread.of(values)
        interval = mean_interval(values)
        low, high = (None, None) if interval.half_width is None else (interval.low, interval.high)
        return cls(spread.mean, spread.sd, spread.count, low, high)

    def text(self, number_format: str) -> str:
        """Format as ``mean [low, high]``, or as the mean alone."""
        mean = format(self.mean, number_format)
        if self.low is None or self.high is None:
            return mean
        return f"{mean} [{format(self.low, number_format)}, {format(self.high, number_format)}]"


def summarize(
    results: Sequence[RunResult], baseline: str | None = None, teacher: str | None = None
) -> dict[str, dict[str, Spread]]:
    """Summarise every metric of every config over its seeds.

    Args:
        results: The runs; no two of the same config and seed. If any has an AP, those without one
            count as 0 there.
        baseline: Name of a config. Each other config that shares seeds with it gets a ``gain``:
            the difference of APs to the baseline's run of the same seed, over the shared seeds,
            as a :class:`Gain`.
        teacher: Name of the config of their teacher. Each config with a gain gets a
            ``gap_closed``: its mean gain in percent of what the teacher is better than the
            baseline, if it is.

    Returns:
        Name of the config → metric → its spread; metrics without a value are left out.
    """
    by_name: dict[str, list[RunResult]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    base = ap_by_seed(results, baseline)
    summary: dict[str, dict[str, Spread]] = {}
    for name, runs in by_name.items():
        values = {key: _values(runs, key) for key in METRICS}
        aps = ap_by_seed(results, name)
        values["ap"] = list(aps.values())
        summary[name] = {key: Spread.of(found) for key, found in values.items() if found}
        gains = {} if name == baseline else paired_differences(aps, base)
        if gains:
            summary[name][GAIN] = Gain.of(list(gains.values()))
    if baseline is not None and teacher in summary:
        _add_gap_closed(summary, baseline, str(teacher))
    return summary


def _add_gap_closed(summary: Mapping[str, dict[str, Spread]], baseline: str, teacher: str) -> None:
    top, bottom = (summary.get(name, {}).get("ap") for name in (teacher, baseline))
    if top is None or bottom is None or top.mean <= bottom.mean:
        return
    for name, spreads in summary.items():
        if GAIN in spreads and name != teacher:
            share = 100 * spreads[GAIN].mean / (top.mean - bottom.mean)
            spreads[GAP_CLOSED] = Spread(share, None, spreads[GAIN].count)


def format_table(summary: Mapping[str, Mapping[str, Spread]], width: int | None = None) -> str:
    """Format a summary as a Markdown table whose columns line up in plain text too.

    Args:
        summary: What :func:`summarize` returned.
        width: Characters in a line; columns that do not fit are left out, the last ones first,
            but never the AP. Default: as wide as it takes.
    """
    measured = {key for spreads in summary.values() for key in spreads}
    columns = [key for key in ("ap", GAIN, GAP_CLOSED, *METRICS[1:]) if key in measured]
    table = _table(summary, columns)
    while width is not None and len(columns) > 1 and len(table.partition("\n")[0]) > width:
        columns.pop()
        table = _table(summary, columns)
    return table


def write_report(
    folder: str | os.PathLike[str],
    results: Sequence[RunResult],
    baseline: str | None,
    machine: Mapping[str, Any],
    stem: str = "comparison",
    teacher: str | None = None,
    sections: Mapping[str, str] | None = None,
) -> str:
    """Write ``comparison.json`` (everything), ``.csv`` (one line a run) and ``.md`` (the table).

    Args:
        folder: Existing folder to write to.
        results: The runs.
        baseline: See :func:`summarize`.
        machine: What the numbers were measured on, and with which versions.
        stem: Name of the files, without suffix.
        teacher: See :func:`summarize`.
        sections: Title → further tables for the ``.md`` file; empty ones are left out.

    Returns:
        The table.
    """
    summary = summarize(results, baseline, teacher)
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
    write_file(target / f"{stem}.json", json.dumps(content, indent=2) + "\n")
    with replacing(target / f"{stem}.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["config", "seed", *METRICS])
        for result in results:
            writer.writerow([result.name, result.seed, *(result.metrics.get(k) for k in METRICS)])
    measured = ", ".join(f"{key} {value}" for key, value in machine.items())
    notes = [f"Measured on: {measured}."]
    if any(spread.sd is not None for spreads in summary.values() for spread in spreads.values()):
        notes.insert(0, "Mean ± standard deviation over the seeds.")
    gains = _gains(summary)
    if gains:
        note = f"Gain: AP minus that of {baseline} from the same seed, mean over the seeds"
        if any(gain.low is not None for gain in gains):
            note += "; in brackets the 95 % interval of Student's t for paired samples"
        notes.insert(-1, f"{note}.")
    if lacking := _without_ap(results):
        names = "; ".join(f"{run.name}, seed {run.seed}" for run in lacking)
        notes.insert(-1, f"Without an AP, which counts as 0: {names}.")
    for title, text in (sections or {}).items():
        notes += [f"## {title}", text] if text else []
    write_file(target / f"{stem}.md", "\n\n".join([table, *notes]) + "\n")
    return table


def _table(summary: Mapping[str, Mapping[str, Spread]], columns: Sequence[str]) -> str:
    titles = {key: GLOSSARY[key].title for key in columns}
    if GAIN in titles and any(gain.low is not None for gain in _gains(summary)):
        titles[GAIN] += " [95 %, t over seeds]"
    rows = [["config", "seeds", *titles.values()]]
    for name, spreads in summary.items():
        cells = [
            spreads[key].text(GLOSSARY[key].number_format) if key in spreads else "–"
            for key in columns
        ]
        rows.append([name, str(max((s.count for s in spreads.values()), default=0)), *cells])
    return markdown_table(rows)


def _gains(summary: Mapping[str, Mapping[str, Spread]]) -> list[Gain]:
    found = (spreads.get(GAIN) for spreads in summary.values())
    return [gain for gain in found if isinstance(gain, Gain)]


def ap_by_seed(results: Sequence[RunResult], name: str | None) -> dict[int, float]:
    """Find the AP of each seed of a config.

    Args:
        results: All runs of the comparison.
        name: Name of the config.

    Returns:
        Seed → AP. A run without one, because it diverged, counts as 0; empty where no run of the
        comparison has any.
    """
    if not _values(results, "ap"):
        return {}
    runs = [result for result in results if result.name == name]
    return {run.seed: next(iter(_values([run], "ap")), 0.0) for run in runs}


def _without_ap(results: Sequence[RunResult]) -> list[RunResult]:
    """List the runs that count as 0."""
    if not _values(results, "ap"):
        return []
    return [run for run in results if not _values([run], "ap")]


def _values(runs: Sequence[RunResult], key: str) -> list[float]:
    """Collect one metric of the runs that have it."""
    found = (run.metrics.get(key) for run in runs)
    return [value for value in found if value is not None and math.isfinite(value)]
