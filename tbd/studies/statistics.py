"""What a few seeds say: paired differences, their interval, and how far the teacher was reached."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval ``mean ± half_width``.

    Attributes:
        mean: The mean.
        half_width: Half of the interval's width; None for a single value, which bounds nothing.
        count: Number of values.
    """

    mean: float
    half_width: float | None
    count: int

    @property
    def low(self) -> float:
        """Lower end; −infinity for a single value."""
        return -math.inf if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end; infinity for a single value."""
        return math.inf if self.half_width is None else self.mean + self.half_width

    def excludes(self, value: float) -> bool:
        """Whether the value lies outside the interval."""
        return not self.low <= value <= self.high

    def text(self, number_format: str) -> str:
        """Format as ``mean [low, high]``, or as the mean alone where nothing bounds it."""
        mean = format(self.mean, number_format)
        if self.half_width is None:
            return mean
        return f"{mean} [{format(self.low, number_format)}, {format(self.high, number_format)}]"


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of independent values with Student's t interval.

    Args:
        values: At least one value, all finite.
        confidence: Probability that such intervals cover the true mean, in (0, 1).

    Raises:
        ValueError: There is no value, one is not finite, or the confidence is out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), is {confidence}.")
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError(f"an interval needs finite values, got {list(values)}.")
    mean = statistics.fmean(values)
    count = len(values)
    if count == 1:
        return Interval(mean, None, count)
    quantile = float(student_t.ppf((1 + confidence) / 2, count - 1))
    return Interval(mean, quantile * statistics.stdev(values) / math.sqrt(count), count)


def paired_differences(
    values: Mapping[int, float], baseline: Mapping[int, float]
) -> dict[int, float]:
    """Subtract the baseline seed by seed.

    Args:
        values: Seed → value.
        baseline: Seed → value of what is compared to.

    Returns:
        Seed → difference, of the seeds that both have, in ascending order.
    """
    return {seed: values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())}


def gap_closed(gain: float, baseline: float, teacher: float) -> float | None:
    """Share of the distance from the plain student to its teacher that a gain covers.

    Args:
        gain: What the distilled student has more than the plain one.
        baseline: The plain student's value.
        teacher: The teacher's.

    Returns:
        ``gain / (teacher − baseline)``, 1 for a student as good as its teacher, negative for a
        loss; None where the teacher is no better than the plain student.
    """
    return gain / (teacher - baseline) if teacher > baseline else None
