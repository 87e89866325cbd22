"""Tables of recorded runs: one for each pair of teacher and student."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tbd.evaluation.agreement import iou_share_names
from tbd.studies.comparison.report import Spread
from tbd.studies.glossary import GLOSSARY
from tbd.studies.results.record import RunRecord
from tbd.studies.statistics import Interval, gap_closed, mean_interval, paired_differences
from tbd.visualization.markdown import markdown_table

COLUMNS = (
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ap_rare",
    "ap_common",
    "ap_frequent",
    "mask_ap",
    "mask_ap75",
    "ap_lost",
    "harmony_score",
    "params",
)
"""What is shown beside AP and gain, names out of the glossary, where any run has it."""

AGREEMENT = ("harmonious", "pearson", "calibration_error", *iou_share_names())
"""What is shown of how the scores of confident detections agree with their boxes."""

_DASH = "–"


@dataclass(frozen=True)
class Row:
    """All runs of one config.

    Attributes:
        name: Name of the config.
        runs: One run a seed.
        gains: Seed → difference of AP to the plain student's run of the same seed; empty for
            teacher and plain student.
        gain: Mean of the gains and its 95 % interval; None without gains.
        gap_closed: Mean gain, divided by the teacher's AP less the plain student's mean AP over
            the same seeds.
    """

    name: str
    runs: tuple[RunRecord, ...]
    gains: dict[int, float]
    gain: Interval | None
    gap_closed: float | None

    @property
    def method(self) -> str:
        """See :attr:`~tbd.studies.results.record.RunRecord.method`."""
        return self.runs[0].method

    @property
    def detector(self) -> str:
        """See :attr:`~tbd.studies.results.record.RunRecord.detector`."""
        return self.runs[0].detector


@dataclass(frozen=True)
class Pair:
    """A teacher, a plain student, and all that were distilled from the one into the other.

    Detectors without teacher that were recorded against another one make a pair too.

    Attributes:
        teacher: Name of the teacher's config; None where nothing is distilled.
        baseline: Name of the plain student's config, or of what the others are compared with.
        rows: The teacher if it is recorded, the plain student likewise, then the distilled
            students in the order in which they were recorded.
    """

    teacher: str | None
    baseline: str
    rows: tuple[Row, ...]


def compare_records(
    records: Sequence[RunRecord],
    name: str,
    other: str,
    metric: str = "ap",
    choosing: bool = False,
) -> tuple[Interval, int]:
    """Compare two configs that were trained from the same seeds.

    Args:
        records: Of one data set.
        name: Name of a config.
        other: Name of another one.
        metric: What is compared, a name out of the glossary.
        choosing: Compare on the seeds that choose settings, and on no others; without it on all
            but those.

    Returns:
        Mean of the differences, seed by seed, with its 95 % interval, and on how many seeds the
        former is higher.

    Raises:
        ValueError: One of them is not recorded or has no such metric, or they have no seed in
            common.
    """
    counted = [record for record in records if record.chooses is choosing]
    names = dict.fromkeys(record.name for record in counted)
    for wanted in (name, other):
        if wanted not in names:
            kind = "seeds that choose settings" if choosing else "seeds that choose nothing"
            raise ValueError(
                f"{wanted} is not recorded from {kind}; there are {', '.join(names) or 'none'}."
            )
    both = [record for record in counted if record.name in (name, other)]
    compared = {
        wanted: metric_by_seed([r for r in both if r.name == wanted], metric, both)
        for wanted in (name, other)
    }
    for wanted, found in compared.items():
        if not found:
            raise ValueError(f"{wanted} was not measured by {metric}.")
    found = paired_differences(compared[name], compared[other])
    if not found:
        raise ValueError(f"{name} and {other} have no seed in common.")
    return mean_interval(list(found.values())), sum(value > 0 for value in found.values())


def find_pairs(records: Sequence[RunRecord]) -> list[Pair]:
    """Sort the runs of one data set into pairs; every run is in one at least.

    Args:
        records: What :func:`~tbd.studies.results.record.read_records` read, or a part of it.

    Returns:
        Pairs in the order of their first record, last the detectors that are in no pair.
    """
    by_name: dict[str, list[RunRecord]] = {}
    for record in records:
        by_name.setdefault(record.name, []).append(record)
    held: dict[tuple[str | None, str], list[str]] = {}
    for name, runs in by_name.items():
        if runs[0].baseline:
            held.setdefault((runs[0].teacher, runs[0].baseline), []).append(name)

    pairs = []
    for (teacher, baseline), names in held.items():
        undistilled = [name for name in (teacher or "", baseline) if name in by_name]
        among = [run for name in (*undistilled, *names) for run in by_name[name]]
        plain = _aps(by_name.get(baseline, []), among)
        teacher_aps = list(_aps(by_name.get(teacher or "", []), among).values())
        teacher_ap = statistics.fmean(teacher_aps) if teacher_aps else None
        rows = [_plain_row(by_name[name]) for name in undistilled]
        rows += [_distilled_row(by_name[name], plain, teacher_ap, among) for name in names]
        pairs.append(Pair(teacher, baseline, tuple(rows)))
    in_pairs = {row.name for pair in pairs for row in pair.rows}
    for name, runs in by_name.items():
        if name not in in_pairs:
            pairs.append(Pair(None, name, (_plain_row(runs),)))
    return pairs


def format_pair(pair: Pair) -> str:
    """Format a pair as a Markdown table: mean ± standard deviation over the seeds."""
    used = _used(pair, COLUMNS)
    titles = [GLOSSARY[key].title for key in used]
    head = ["config", "seeds", "AP", "gain [95 %]", "gap closed", *titles, "minutes"]
    lines = [head]
    for row in pair.rows:
        lines.append(
            [
                f"`{row.name}`",
                _seeds([run.seed for run in row.runs]),
                _spread(pair, row, "ap"),
                row.gain.text("+.1f") if row.gain else _DASH,
                f"{row.gap_closed:.0%}" if row.gap_closed is not None else _DASH,
                *(_spread(pair, row, key) for key in used),
                f"{statistics.median(run.wall_seconds for run in row.runs) / 60:.0f}",
            ]
        )
    return markdown_table(lines)


def format_gains(pair: Pair) -> str:
    """Format the AP of every run as a Markdown table, seeds as columns."""
    seeds = sorted({run.seed for row in pair.rows for run in row.runs})
    lines = [["AP of each run", *(f"seed {seed}" for seed in seeds)]]
    for row in pair.rows:
        aps = _aps(row.runs, _runs(pair))
        cells = [
            _DASH
            if seed not in aps
            else f"{aps[seed]:.1f} ({row.gains[seed]:+.1f})"
            if seed in row.gains
            else f"{aps[seed]:.1f}"
            for seed in seeds
        ]
        lines.append([f"`{row.name}`", *cells])
    return markdown_table(lines)


def format_agreement(pair: Pair) -> str:
    """Format how scores and boxes agree as a Markdown table; empty where no run was measured so."""
    used = _used(pair, AGREEMENT)
    if not used:
        return ""
    lines = [["confident detections", *(GLOSSARY[key].title for key in used)]]
    lines += [[f"`{row.name}`", *(_spread(pair, row, key) for key in used)] for row in pair.rows]
    return markdown_table(lines)


def _used(pair: Pair, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if any(key in run.metrics for run in _runs(pair))]


def _runs(pair: Pair) -> list[RunRecord]:
    return [run for row in pair.rows for run in row.runs]


def _plain_row(runs: Sequence[RunRecord]) -> Row:
    return Row(runs[0].name, tuple(runs), {}, None, None)


def _distilled_row(
    runs: Sequence[RunRecord],
    plain: dict[int, float],
    teacher_ap: float | None,
    among: Sequence[RunRecord],
) -> Row:
    gains = paired_differences(_aps(runs, among), plain)
    if not gains:
        return _plain_row(runs)
    gain = mean_interval(list(gains.values()))
    base = statistics.fmean(plain[seed] for seed in gains)
    closed = None if teacher_ap is None else gap_closed(gain.mean, base, teacher_ap)
    return Row(runs[0].name, tuple(runs), gains, gain, closed)


def _aps(runs: Sequence[RunRecord], among: Sequence[RunRecord]) -> dict[int, float]:
    """Seed → AP; a run without one, because it diverged, counts as 0.

    Where none of those that it is shown among has any, they were measured by something else.
    """
    if not any("ap" in run.metrics for run in among):
        return {}
    return {run.seed: run.metrics.get("ap") or 0.0 for run in runs}


def metric_by_seed(
    runs: Sequence[RunRecord], metric: str, among: Sequence[RunRecord] = ()
) -> dict[int, float]:
    """Find the value of a metric for each seed.

    Args:
        runs: Runs of one config.
        metric: Name out of the glossary.
        among: Those that they are compared to, they themselves included.

    Returns:
        Seed → value. Runs without it are left out, but for AP, if any of those that they are
        compared to has one: there they count as 0.
    """
    if metric == "ap":
        return _aps(runs, among or runs)
    return {run.seed: run.metrics[metric] for run in runs if metric in run.metrics}


def _spread(pair: Pair, row: Row, key: str) -> str:
    values = list(metric_by_seed(row.runs, key, _runs(pair)).values())
    if not values:
        return _DASH
    # The size of a detector does not vary with the seed.
    return Spread.of(values[:1] if key == "params" else values).text(GLOSSARY[key].number_format)


def _seeds(seeds: Sequence[int]) -> str:
    """Write 0, 1, 2, 5 as ``0–2, 5``."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts)
