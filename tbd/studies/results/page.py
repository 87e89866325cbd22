"""The page of results: tables between markers, and the figure, made from the records alone."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tbd.files import write_file
from tbd.studies.results.harmony import format_harmony
from tbd.studies.results.measurements import STUDIES, format_measurements, read_measurements
from tbd.studies.results.record import RunRecord, read_records
from tbd.studies.results.summary import format_summary
from tbd.studies.results.table import Pair, find_pairs, format_agreement, format_gains, format_pair
from tbd.visualization.gains import Gain, draw_gains

_OVERVIEWS = {
    "summary": format_summary,
    "harmony": format_harmony,
}
"""Tables over all pairs, by the name of their block."""

_NAMED, _OF_ALL = "|".join(("results", *STUDIES)), "|".join(_OVERVIEWS)

_MARKER = re.compile(rf"<!-- (?:end of ({_NAMED}|{_OF_ALL})|({_NAMED}): (\S+)|({_OF_ALL})) -->")


@dataclass(frozen=True)
class _Block:
    """What stands between two markers.

    Attributes:
        kind: ``results``, the name of a study or that of an overview.
        name: File of records, of the former; else empty.
        start: Place in the page behind the first marker.
        end: Place of the second one.
    """

    kind: str
    name: str
    start: int
    end: int


def write_page(
    page: str | os.PathLike[str],
    records: str | os.PathLike[str],
    figure: str | os.PathLike[str],
) -> list[str]:
    """Bring a page's tables and its figure up to date with the recorded runs.

    A table stands between ``<!-- results: NAME -->`` and ``<!-- end of results -->`` and shows
    ``NAME.jsonl``; between ``<!-- gap: NAME -->`` and ``<!-- end of gap -->`` stands what
    ``tbd gap`` measured of its runs, and likewise of every study in
    :data:`~tbd.studies.results.measurements.STUDIES`. Between ``<!-- summary -->`` and
    ``<!-- end of summary -->`` stands one line of each detector that TBD distilled, and in a block
    of the name ``harmony`` how its scores and boxes agree. The rest of the page is left as it is.

    Args:
        page: Markdown file.
        records: Folder of the files of records.
        figure: Picture of all gains to write.

    Returns:
        Names of the files of records that were shown.

    Raises:
        ValueError: A file of records is not on the page, or the page names one twice; a study's
            table is asked of a file that is not on it; or a block lacks one of its markers.
    """
    file = Path(page)
    text = file.read_text()
    blocks = _find_blocks(text, str(page))
    shown = [block.name for block in blocks if block.kind == "results"]
    recorded = sorted(path.stem for path in Path(records).glob("*.jsonl"))
    if len(set(shown)) < len(shown):
        raise ValueError(f"{page} has a block of results twice: {shown}.")
    if missing := [name for name in recorded if name not in shown]:
        raise ValueError(
            f"{page} leaves out {', '.join(missing)}: add the lines '<!-- results: {missing[0]} "
            "-->' and '<!-- end of results -->'."
        )
    for study in STUDIES:
        if strange := {block.name for block in blocks if block.kind == study} - set(shown):
            raise ValueError(
                f"{page} asks for the {study} of {sorted(strange)}, which it has no results of."
            )
    by_set = {name: read_records(Path(records, f"{name}.jsonl")) for name in shown}
    for block in reversed(blocks):
        if block.kind == "results":
            table = format_set(by_set[block.name])
        elif block.kind in STUDIES:
            found = read_measurements(block.kind, Path(records, f"{block.name}.jsonl"))
            table = format_measurements(block.kind, by_set[block.name], found)
        else:
            table = _OVERVIEWS[block.kind](by_set)
        text = f"{text[: block.start]}\n\n{table}\n\n{text[block.end :]}"
    write_file(file, text)
    panels = {}
    for name, runs in by_set.items():
        for pair in find_pairs([record for record in runs if not record.chooses]):
            if gains := _gains(pair):
                shown_pair = " → ".join(filter(None, (pair.teacher, pair.baseline)))
                panels[f"{name}: {shown_pair}"] = gains
    if panels:
        draw_gains(panels, figure)
    return shown


def _find_blocks(text: str, page: str) -> list[_Block]:
    blocks = []
    markers = list(_MARKER.finditer(text))
    for begin, end in zip_longest(markers[::2], markers[1::2]):
        kind = begin[2] or begin[4]
        if kind is None:
            raise ValueError(f"{page}: {begin[0]} ends no block; put its first line before it.")
        if end is None or end[1] != kind:
            before = f" before {end[0]}" if end else ""
            raise ValueError(
                f"{page}: the block {begin[0]} does not end{before}; add the line "
                f"'<!-- end of {kind} -->' where its table ends."
            )
        blocks.append(_Block(kind, begin[3] or "", begin.end(), end.start()))
    return blocks


def format_set(records: Sequence[RunRecord]) -> str:
    """Format all tables of one data set.

    Args:
        records: All that is recorded of it; runs that chose settings get tables of their own.

    Returns:
        Markdown.
    """
    if not records:
        return "No run yet."
    parts = []
    for title, part in (
        ("", [record for record in records if not record.chooses]),
        (
            "Runs that chose settings, and count for nothing else:",
            [r for r in records if r.chooses],
        ),
    ):
        if part and title:
            parts.append(title)
        for pair in find_pairs(part):
            tables = (format_pair(pair), format_gains(pair), format_agreement(pair))
            parts += [table for table in tables if table]
    parts.append(_origin(records))
    return "\n\n".join(parts)


def _origin(records: Sequence[RunRecord]) -> str:
    """Say in one paragraph what the runs were made with."""

    def distinct(values: Sequence[str]) -> str:
        return ", ".join(sorted(set(values)))

    packages = ("python", "torch", "mmdet")
    versions = [
        " ".join(f"{name} {r.versions[name]}" for name in packages if name in r.versions)
        for r in records
    ]
    commits = [f"`{commit[:7]}`" for record in records for commit in record.commits or ["?"]]
    hours = sum(record.wall_seconds for record in records) / 3600
    return (
        f"{len(records)} runs, {hours:.1f} hours, begun {min(r.started for r in records)[:10]} to "
        f"{max(r.started for r in records)[:10]}; {distinct([r.hardware for r in records])}; "
        f"{distinct(versions)}; commit {distinct(commits)}."
    )


def _gains(pair: Pair) -> list[Gain]:
    return [
        Gain(row.name, list(row.gains.values()), row.gain.mean, row.gain.half_width)
        for row in pair.rows
        if row.gain is not None
    ]
