"""AP of every class of several detectors in one table."""

from collections.abc import Callable, Mapping

PREFIX = "ap/"
"""Of the name of a class, among the metrics of a detector."""

MOST_CLASSES = 20
"""Columns of a table; of more classes those that differ most."""


def class_table(
    aps: Mapping[str, Mapping[str, float]], text: Callable[[str, str], str], title: str
) -> list[list[str]]:
    """Lay out the AP of each class.

    Args:
        aps: Detector → class → AP.
        text: Makes the text of a cell that has an AP from detector and class.
        title: Head of the first column.

    Returns:
        Rows of cells, the first one the head; of many classes those with most difference between
        the detectors; empty where no class was measured.
    """
    classes = list(dict.fromkeys(name for found in aps.values() for name in found))
    if len(classes) > MOST_CLASSES:
        classes = sorted(classes, key=lambda name: -_range(aps, name))[:MOST_CLASSES]
    if not classes:
        return []
    rows = [[title, *classes]]
    for detector, found in aps.items():
        rows.append([detector, *(text(detector, c) if c in found else "–" for c in classes)])
    return rows


def _range(aps: Mapping[str, Mapping[str, float]], name: str) -> float:
    found = [of_detector[name] for of_detector in aps.values() if name in of_detector]
    return max(found) - min(found)
