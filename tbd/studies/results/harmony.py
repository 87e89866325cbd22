"""One table for all pairs: how well scores and boxes agree, before and after distillation."""

from collections.abc import Mapping, Sequence

from tbd.studies.comparison.report import Spread
from tbd.studies.glossary import GLOSSARY
from tbd.studies.results.record import RunRecord
from tbd.studies.results.summary import distilled_by_tbd
from tbd.studies.results.table import Pair, Row, metric_by_seed
from tbd.studies.statistics import mean_interval, paired_differences
from tbd.visualization.markdown import markdown_table

MEASURES = ("ap_lost", "pearson", "harmonious", "calibration_error", "harmony_score")
"""What is compared, names out of the glossary."""


def format_harmony(by_set: Mapping[str, Sequence[RunRecord]]) -> str:
    """Compare scores and boxes of teacher, plain student, TBD's student and the best student.

    Args:
        by_set: Name of a file of records → its records. Runs that chose settings do not count.

    Returns:
        A Markdown table. Teacher and plain student have values, the others the mean change
        against the plain student of the same seed with its 95 % interval. The best student is
        the one of the highest mean gain of AP on the seeds that TBD has.
    """
    head = ["records", "detector", *(GLOSSARY[name].title for name in MEASURES)]
    lines = [head]
    for title, pair, distilled in distilled_by_tbd(by_set):
        lines += [[title, *cells] for cells in _lines_of(pair, distilled)]
    return markdown_table(lines)


def _lines_of(pair: Pair, distilled: Mapping[str, Row]) -> list[list[str]]:
    plain = next((row for row in pair.rows if row.name == pair.baseline), None)
    tbd = distilled["tbd"]
    if plain is None or not any(metric_by_seed(tbd.runs, name) for name in MEASURES):
        return []
    seeds = tbd.gains.keys()
    best = max(
        (method for method, row in distilled.items() if seeds <= row.gains.keys()),
        key=lambda method: sum(distilled[method].gains[seed] for seed in seeds),
    )
    teacher = [row for row in pair.rows if row.name == pair.teacher]
    lines = [["teacher", *(_level(row, name) for name in MEASURES)] for row in teacher]
    lines.append(["plain", *(_level(plain, name) for name in MEASURES)])
    for method in dict.fromkeys(("tbd", best)):
        lines.append([method, *(_change(distilled[method], plain, name) for name in MEASURES)])
    return lines


def _level(row: Row, name: str) -> str:
    values = list(metric_by_seed(row.runs, name).values())
    return Spread.of(values).text(GLOSSARY[name].number_format) if values else "–"


def _change(row: Row, plain: Row, name: str) -> str:
    found = paired_differences(metric_by_seed(row.runs, name), metric_by_seed(plain.runs, name))
    if not found:
        return "–"
    return mean_interval(list(found.values())).text(f"+{GLOSSARY[name].number_format}")
