"""What detectors gain on one of them, and how far that brings them to their teacher."""

from collections.abc import Sequence
from dataclasses import replace

from tbd.studies.harmony.result import HarmonyResult
from tbd.studies.statistics import gap_closed


def with_gains(
    results: Sequence[HarmonyResult], teacher: str | None, baseline: str | None
) -> list[HarmonyResult]:
    """Add ``gain`` and ``gap_closed`` to the metrics of detectors.

    Args:
        results: The detectors.
        teacher: Name of the one that taught others.
        baseline: Name of the one that they are compared to; without it nothing is added.

    Returns:
        The detectors in their order; the share of the gap is left out where there is none.
    """
    aps = {result.name: result.metrics.get("ap") for result in results}
    bottom = None if baseline is None else aps[baseline]
    top = None if teacher is None else aps[teacher]
    found = []
    for result in results:
        ap = aps[result.name]
        added = {}
        if ap is not None and bottom is not None and result.name != baseline:
            added["gain"] = ap - bottom
            if top is not None and result.name != teacher:
                share = gap_closed(ap - bottom, bottom, top)
                added |= {} if share is None else {"gap_closed": 100 * share}
        found.append(replace(result, metrics={**result.metrics, **added}))
    return found
