import math
from typing import Any

import pytest
import torch
from mmengine.evaluator import Evaluator

import tbd
from tbd.evaluation import HarmonyMetric


def make_sample(
    boxes: list[list[float]], scores: list[float], gt: list[list[float]]
) -> dict[str, Any]:
    return {
        "pred_instances": {
            "bboxes": torch.tensor(boxes).reshape(-1, 4),
            "scores": torch.tensor(scores),
        },
        "gt_instances": {"bboxes": torch.tensor(gt).reshape(-1, 4)},
    }


def evaluate(samples: list[dict[str, Any]], **kwargs: Any) -> dict[str, float]:
    metric = HarmonyMetric(**kwargs)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_mean_over_detections_of_all_images() -> None:
    samples = [
        # IoU with the first box 50/100, with the second 0.
        make_sample([[0, 0, 10, 5]], [0.8], [[0, 0, 10, 10], [50, 50, 60, 60]]),
        # IoU 1 and 1/3.
        make_sample([[0, 0, 4, 4], [2, 0, 6, 4]], [0.9, 0.4], [[0, 0, 4, 4]]),
    ]
    expected = [1 - math.tanh(0.3), 1 - math.tanh(0.1), 1 - math.tanh(0.4 - 1 / 3)]
    assert evaluate(samples) == {
        "harmony/mean_score": pytest.approx(sum(expected) / 3, abs=1e-6),
        "harmony/num_detections": 3,
    }


def test_threshold_is_inclusive() -> None:
    sample = make_sample([[0, 0, 4, 4]] * 3, [0.49, 0.5, 0.51], [[0, 0, 4, 4]])
    assert evaluate([sample], score_thr=0.5)["harmony/num_detections"] == 2


def test_image_without_ground_truth_counts_as_not_localized() -> None:
    result = evaluate([make_sample([[0, 0, 4, 4]], [0.7], [])])
    assert result["harmony/mean_score"] == pytest.approx(1 - math.tanh(0.7), abs=1e-6)


@pytest.mark.parametrize(
    "samples", [[make_sample([], [], [[0, 0, 4, 4]])], [make_sample([], [], [])], []]
)
def test_no_detection_is_reported_as_zero(
    samples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    monkeypatch.setattr("tbd.evaluation.harmony.print_log", lambda text, **_: messages.append(text))
    metric = HarmonyMetric()
    metric.process(None, samples)
    assert metric.compute_metrics(metric.results) == {"mean_score": 0.0, "num_detections": 0}
    assert "no detection has a score of 0.3" in messages[0]


def test_one_entry_per_image() -> None:
    metric = HarmonyMetric()
    metric.process(None, [make_sample([], [], []), make_sample([[0, 0, 4, 4]] * 2, [0.7, 0.8], [])])
    assert len(metric.results) == 2


def test_missing_ground_truth_names_the_pipeline_step() -> None:
    sample = make_sample([[0, 0, 4, 4]], [0.7], [])
    del sample["gt_instances"]["bboxes"]
    with pytest.raises(ValueError, match="LoadAnnotations"):
        evaluate([sample])


@pytest.mark.parametrize("score_thr", [-0.1, 1.1])
def test_threshold_out_of_range(score_thr: float) -> None:
    with pytest.raises(ValueError, match="score_thr"):
        HarmonyMetric(score_thr=score_thr)


def test_builds_from_a_config() -> None:
    evaluator = Evaluator([{"type": "tbd.HarmonyMetric", "score_thr": 0.2}])
    assert isinstance(evaluator.metrics[0], tbd.evaluation.HarmonyMetric)
