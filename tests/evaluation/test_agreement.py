import numpy as np
import pytest
from scipy import stats

from tbd.evaluation.agreement import measure_agreement, pearson
from tbd.evaluation.dense_summary import DenseSummary, measure_summaries


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    ious = rng.uniform(0, 1, count).astype(np.float32)
    scores = np.clip(ious + rng.normal(0, 0.3, count), 0, 1).astype(np.float32)
    return scores, ious


def test_against_loops_and_scipy():
    scores, ious = draw(300)
    # Ends of the bins and equal values.
    scores[:4], ious[:4] = [0.0, 1.0, 0.5, 0.5], [1.0, 1.0, 0.5, 0.75]
    found = measure_agreement(scores, ious)
    pairs = [(float(s), float(u)) for s, u in zip(scores, ious, strict=True)]
    assert found["harmony_score"] == pytest.approx(
        np.mean([1 - np.tanh(abs(u - s)) for s, u in pairs])
    )
    assert found["harmonious"] == sum(abs(u - s) <= 0.1 for s, u in pairs) / 300
    assert found["pearson"] == pytest.approx(stats.pearsonr(scores, ious).statistic, abs=1e-6)
    assert found["spearman"] == pytest.approx(stats.spearmanr(scores, ious).statistic, abs=1e-6)
    error = 0.0
    for index in range(10):
        inside = [
            (s, u)
            for s, u in pairs
            if index / 10 <= s < (index + 1) / 10 or (index == 9 and s == 1)
        ]
        means = np.mean(inside, axis=0)
        error += len(inside) / 300 * abs(means[0] - means[1])
    assert found["calibration_error"] == pytest.approx(error)
    assert found["iou_0.00_0.50"] == sum(u < 0.5 for _, u in pairs) / 300
    assert found["iou_0.50_0.75"] == sum(0.5 <= u < 0.75 for _, u in pairs) / 300
    assert found["iou_0.90_1.00"] == sum(u >= 0.9 for _, u in pairs) / 300
    assert sum(value for name, value in found.items() if name.startswith("iou_")) == 1


def test_correlations_that_do_not_exist():
    for scores, ious in ([[0.5], [0.5]], [[0.5, 0.5], [0.1, 0.9]], [[0.1, 0.9], [0.7, 0.7]]):
        found = measure_agreement(np.array(scores), np.array(ious))
        assert found["pearson"] is None
        assert found["spearman"] is None
        assert np.isfinite(found["calibration_error"])


def test_weights_count_pairs():
    x, y = draw(5)
    times = np.array([1, 2, 1, 3, 1])
    assert pearson(x, y, times) == pytest.approx(pearson(x.repeat(times), y.repeat(times)))


def test_summaries_add_up_to_the_predictions():
    parts = [draw(400, 1), draw(0), draw(3, 2), draw(900, 3)]
    summaries = [DenseSummary.of(*part, 0.3) for part in parts]
    found = measure_summaries(summaries)
    expected = measure_agreement(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    assert found.keys() == expected.keys()
    # Ranks are those of cells of 0.05.
    assert found.pop("spearman") == pytest.approx(expected.pop("spearman"), abs=0.005)
    assert found == pytest.approx(expected)


def test_rank_correlation_on_the_grid_is_that_of_the_cells():
    scores, ious = draw(500)
    found = measure_summaries([DenseSummary.of(scores, ious, 0.0)])
    cells = [np.minimum((values * 20).astype(int), 19) for values in (scores, ious)]
    assert found["spearman"] == pytest.approx(stats.spearmanr(*cells).statistic)


def test_summaries_of_nothing_and_of_equal_predictions():
    nothing = DenseSummary.of(np.empty(0), np.empty(0), 0.3)
    assert measure_summaries([nothing]) is None
    assert measure_summaries([]) is None
    equal = measure_summaries([DenseSummary.of(np.full(7, 0.3), np.full(7, 0.7), 0.3)] * 3)
    assert equal["pearson"] is None
    assert equal["spearman"] is None
    assert equal["calibration_error"] == pytest.approx(0.4)
