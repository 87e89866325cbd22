"""One line a pair: does TBD distil, and does another method do better?"""

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence

from tbd.studies.comparison.methods import TBD_TERMS
from tbd.studies.results.record import RunRecord
from tbd.studies.results.table import Pair, Row, find_pairs
from tbd.studies.statistics import mean_interval, paired_differences
from tbd.visualization.markdown import markdown_table

TITLES = (
    "records",
    "plain student",
    "seeds",
    "teacher AP",
    "plain AP",
    "gain of TBD [95 %]",
    "gap closed",
    "best without TBD",
    "its gain [95 %]",
    "TBD less it [95 %]",
    "best row",
)


def distilled_by_tbd(
    by_set: Mapping[str, Sequence[RunRecord]],
) -> Iterator[tuple[str, Pair, dict[str, Row]]]:
    """Find every detector that TBD distilled, with all that distilled the same one.

    Detectors are told apart by what stands behind the method in the names of their configs:
    ``tbd_retinanet-wide_bccd`` is compared with ``qad_retinanet-wide_bccd``, not with
    ``qad_retinanet_bccd``, though both may have one teacher and one plain student.

    Args:
        by_set: Name of a file of records → its records. Runs that chose settings do not count.

    Yields:
        What the line is called, the pair, and method → row.
    """
    for name, records in by_set.items():
        for pair in find_pairs([record for record in records if not record.chooses]):
            detectors: dict[str, dict[str, Row]] = {}
            for row in pair.rows:
                if row.gains:
                    detectors.setdefault(row.detector, {})[row.method] = row
            found = {key: methods for key, methods in detectors.items() if "tbd" in methods}
            for detector, methods in found.items():
                yield f"`{name}`" if len(found) == 1 else f"`{name}` {detector}", pair, methods


def format_summary(by_set: Mapping[str, Sequence[RunRecord]]) -> str:
    """Summarise every detector that TBD distilled, see :func:`distilled_by_tbd`.

    Methods are compared with TBD on the seeds that TBD has; one that lacks any of these is left to
    the table of its set.

    Args:
        by_set: Name of a file of records → its records. Runs that chose settings do not count.

    Returns:
        A Markdown table; its *best without TBD* is the best method that neither is TBD nor holds
        its terms, the *best row* may be any.
    """
    lines: list[Sequence[str]] = [TITLES]
    for title, pair, methods in distilled_by_tbd(by_set):
        lines.append([title, *_summarise(pair, methods)])
    return markdown_table(lines)


def _summarise(pair: Pair, methods: Mapping[str, Row]) -> list[str]:
    tbd = methods["tbd"]
    gains = {
        method: mean_interval([row.gains[seed] for seed in tbd.gains])
        for method, row in methods.items()
        if tbd.gains.keys() <= row.gains.keys()
    }
    by_name = {row.name: row for row in pair.rows}
    teacher = by_name.get(pair.teacher or "")
    cells = [
        f"`{pair.baseline}`",
        str(len(tbd.gains)),
        _mean_ap(teacher.runs) if teacher else "–",
        _mean_ap([run for run in by_name[pair.baseline].runs if run.seed in tbd.gains]),
        gains["tbd"].text("+.1f"),
        "–" if tbd.gap_closed is None else f"{tbd.gap_closed:.0%}",
    ]
    others = [m for m in gains if {"tbd", *TBD_TERMS}.isdisjoint(re.split(r"[-+]", m))]
    if others:
        other = max(others, key=lambda method: gains[method].mean)
        less = paired_differences(tbd.gains, methods[other].gains)
        cells += [other, gains[other].text("+.1f"), mean_interval(list(less.values())).text("+.1f")]
    else:
        cells += ["–"] * 3
    best = max(gains, key=lambda method: gains[method].mean)
    return [*cells, f"{best} {gains[best].mean:+.1f}"]


def _mean_ap(runs: Sequence[RunRecord]) -> str:
    return f"{statistics.fmean(run.metrics.get('ap') or 0.0 for run in runs):.1f}"
