import math

import numpy as np
import pytest
from scipy import integrate, stats

from tbd.studies.statistics import Interval, gap_closed, mean_interval, paired_differences


def coverage(half_width, values):
    """Mass of the t density within the interval, by quadrature of its formula."""
    n = len(values)
    nu = n - 1
    edge = half_width / (np.std(values, ddof=1) / np.sqrt(n))
    norm = math.gamma((nu + 1) / 2) / (math.sqrt(nu * math.pi) * math.gamma(nu / 2))
    return integrate.quad(lambda x: norm * (1 + x * x / nu) ** (-(nu + 1) / 2), -edge, edge)[0]


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_interval_holds_its_share_of_the_t_density(count, confidence):
    values = np.random.default_rng(count).normal(3, 2, count).tolist()
    interval = mean_interval(values, confidence)
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.count == count
    assert coverage(interval.half_width, values) == pytest.approx(confidence, abs=1e-7)


def test_published_quantile():
    # Four degrees of freedom, two-sided 95 %: 2.776 in every table of the t distribution.
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_zero_is_excluded_exactly_when_a_paired_test_rejects():
    generator = np.random.default_rng(0)
    outcomes = set()
    for _ in range(50):
        plain = generator.normal(40, 1, 5)
        other = plain + generator.normal(0.7, 1, 5)
        differences = paired_differences(dict(enumerate(other)), dict(enumerate(plain)))
        rejected = stats.ttest_rel(other, plain).pvalue < 0.05
        assert mean_interval(list(differences.values())).excludes(0) == rejected
        outcomes.add(bool(rejected))
    assert outcomes == {True, False}


def test_single_value_bounds_nothing():
    interval = mean_interval([4.0])
    assert interval.half_width is None
    assert not interval.excludes(-1e9)
    assert interval.text("+.1f") == "+4.0"


def test_text():
    assert Interval(2.0, 1.5, 5).text("+.1f") == "+2.0 [+0.5, +3.5]"
    assert Interval(1.0, 1.5, 5).text("+.1f") == "+1.0 [-0.5, +2.5]"


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_that_have_no_mean_are_refused(values):
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


def test_impossible_confidence_is_refused():
    with pytest.raises(ValueError, match=r"\(0, 1\).*95"):
        mean_interval([1.0, 2.0], 95)


def test_only_shared_seeds_are_paired():
    assert paired_differences({3: 5.0, 1: 2.0, 7: 9.0}, {1: 1.5, 3: 6.0}) == {1: 0.5, 3: -1.0}


def test_gap():
    assert gap_closed(3.0, 46.0, 58.0) == 0.25
    assert gap_closed(-1.2, 46.0, 58.0) == pytest.approx(-0.1)
    assert gap_closed(1.0, 46.0, 46.0) is None
