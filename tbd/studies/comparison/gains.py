"""The figure of a comparison: what every config gains over the baseline, the best first."""

import os
from collections.abc import Sequence

from tbd.studies.comparison.report import RunResult, ap_by_seed
from tbd.studies.statistics import mean_interval, paired_differences
from tbd.visualization.gains import Gain
from tbd.visualization.gains import draw_gains as draw_panels


def sorted_gains(results: Sequence[RunResult], baseline: str) -> list[Gain]:
    """Gains in AP over the baseline's run of the same seed, the highest mean first.

    Args:
        results: The runs.
        baseline: Name of the config to compare to. Configs that share no seed with it are left out.
    """
    base = ap_by_seed(results, baseline)
    gains = []
    for name in dict.fromkeys(result.name for result in results if result.name != baseline):
        values = list(paired_differences(ap_by_seed(results, name), base).values())
        if values:
            interval = mean_interval(values)
            gains.append(Gain(name, values, interval.mean, interval.half_width))
    return sorted(gains, key=lambda gain: -gain.mean)


def draw_gains(
    results: Sequence[RunResult], baseline: str, teacher: str | None, path: str | os.PathLike[str]
) -> bool:
    """Draw these gains with their 95 % intervals.

    Args:
        results: The runs.
        baseline: See :func:`sorted_gains`.
        teacher: Name of the teacher's config, whose line would dwarf the others.
        path: File to write.

    Returns:
        Whether there was anything to draw.
    """
    gains = [gain for gain in sorted_gains(results, baseline) if gain.name != teacher]
    if not gains:
        return False
    draw_panels({f"compared to {baseline}": gains}, path)
    return True
