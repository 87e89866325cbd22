import json
import math
import os
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import Evaluator
from scipy import stats
from tiny_run import free_port

import tbd
from tbd.evaluation import HarmonyMetric
from tbd.evaluation.harmony import DENSE_KEY

CLASSES = ("bar", "square", "tile")


def make_sample(
    boxes: list[list[float]],
    scores: list[float],
    gt: list[list[float]],
    labels: list[int] | None = None,
    gt_labels: list[int] | None = None,
    ignored: int = 0,
    img_id: int = 0,
) -> dict[str, Any]:
    """One image; the last ``ignored`` boxes of ``gt`` are crowds."""
    gt_boxes = torch.tensor(gt).reshape(-1, 4)
    gt_classes = torch.tensor(gt_labels or [0] * len(gt))
    kept = len(gt) - ignored
    return {
        "img_id": img_id,
        "ori_shape": (100, 100),
        "pred_instances": {
            "bboxes": torch.tensor(boxes).reshape(-1, 4),
            "scores": torch.tensor(scores),
            "labels": torch.tensor(labels or [0] * len(boxes)),
        },
        "gt_instances": {"bboxes": gt_boxes[:kept], "labels": gt_classes[:kept]},
        "ignored_instances": {"bboxes": gt_boxes[kept:], "labels": gt_classes[kept:]},
    }


def evaluate(samples: list[dict[str, Any]], **kwargs: Any) -> dict[str, float]:
    metric = HarmonyMetric(**kwargs)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def random_samples(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Images with objects, crowds, detections near them and elsewhere."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        objects = int(rng.integers(0, 6))
        # Multiples of 1/64 stay exact as float32, whichever way round they are computed.
        corner = rng.integers(0, 64 * 60, (objects, 2)) / 64
        gt = np.concatenate([corner, corner + rng.integers(64 * 8, 64 * 30, (objects, 2)) / 64], 1)
        gt_labels = rng.integers(0, 3, objects)
        near = rng.integers(0, objects, 30) if objects else np.empty(0, int)
        boxes = np.concatenate([gt[near] + rng.normal(0, 2, (len(near), 4)), [[1, 2, 30, 20]]])
        labels = np.where(rng.random(len(boxes)) < 0.8, np.append(gt_labels[near], 1), 2)
        samples.append(
            make_sample(
                boxes.astype(np.float32).tolist(),
                rng.random(len(boxes)).astype(np.float32).tolist(),
                gt.tolist(),
                labels.tolist(),
                gt_labels.tolist(),
                ignored=int(objects > 3),
                # Not in the order of the data set.
                img_id=(index * 7) % 101,
            )
        )
    return samples


def write_annotations(path: Any, samples: list[dict[str, Any]]) -> str:
    """The samples' ground truth in COCO's format."""
    annotations: list[dict[str, Any]] = []
    for sample in samples:
        for part in ("gt_instances", "ignored_instances"):
            truth = sample[part]
            for box, label in zip(truth["bboxes"].tolist(), truth["labels"].tolist(), strict=True):
                x1, y1, x2, y2 = box
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=sample["img_id"],
                        category_id=10 + label,
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        area=(x2 - x1) * (y2 - y1),
                        iscrowd=int(part == "ignored_instances"),
                    )
                )
    content = dict(
        images=[dict(id=s["img_id"], width=100, height=100, file_name="") for s in samples],
        annotations=annotations,
        categories=[dict(id=10 + i, name=name) for i, name in enumerate(CLASSES)],
    )
    path.write_text(json.dumps(content))
    return str(path)


def naive_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def naive_pairs(
    samples: list[dict[str, Any]], threshold: float, class_aware: bool
) -> list[tuple[float, float]]:
    """Score and best IoU of every detection that counts, one by one."""
    pairs = []
    for sample in samples:
        found, truth = sample["pred_instances"], sample["gt_instances"]
        for box, score, label in zip(
            found["bboxes"].tolist(),
            found["scores"].tolist(),
            found["labels"].tolist(),
            strict=True,
        ):
            ious = [
                naive_iou(box, gt)
                for gt, gt_label in zip(
                    truth["bboxes"].tolist(), truth["labels"].tolist(), strict=True
                )
                if gt_label == label or not class_aware
            ]
            if score >= threshold:
                pairs.append((score, max(ious, default=0.0)))
    return pairs


@pytest.mark.parametrize("class_aware", [False, True])
def test_random_detections_by_brute_force(class_aware: bool) -> None:
    samples = random_samples(25)
    found = evaluate(samples, score_thr=0.4, class_aware=class_aware)
    pairs = naive_pairs(samples, 0.4, class_aware)
    scores, ious = np.array(pairs).T
    assert found["harmony/num_detections"] == len(pairs)
    expected = {
        "harmony_score": np.mean([1 - math.tanh(abs(u - s)) for s, u in pairs]),
        "harmonious": np.mean([abs(u - s) <= 0.1 for s, u in pairs]),
        "pearson": stats.pearsonr(scores, ious).statistic,
        "spearman": stats.spearmanr(scores, ious).statistic,
        "mean_confidence": np.mean(scores),
        "mean_iou": np.mean(ious),
    }
    for low, high in pairwise((0, 0.5, 0.75, 0.9, 1.0)):
        inside = [low <= u < high or (u == high == 1) for _, u in pairs]
        expected[f"iou_{low:.2f}_{high:.2f}"] = np.mean(inside)
    for name, value in expected.items():
        assert found[f"harmony/{name}"] == pytest.approx(value, abs=1e-6), name


@pytest.mark.openmmlab
@pytest.mark.parametrize("annotated", [False, True])
def test_ap_is_cocos(annotated: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = random_samples(40, seed=1)
    ann_file = write_annotations(tmp_path / "truth.json", samples)
    # CocoMetric rounds to three digits.
    monkeypatch.setattr("mmdet.evaluation.metrics.coco_metric.round", lambda v, _: v, raising=False)
    coco = CocoMetric(ann_file)
    harmony = HarmonyMetric(ann_file=ann_file if annotated else None)
    evaluator = Evaluator([coco, harmony])
    evaluator.dataset_meta = dict(classes=CLASSES)
    if annotated:
        for sample in samples:
            del sample["gt_instances"], sample["ignored_instances"]
    evaluator.process(samples)
    found = evaluator.evaluate(len(samples))
    assert found["harmony/ap"] == found["coco/bbox_mAP"]
    assert 0.1 < found["harmony/ap"] < found["harmony/oracle_ap"]
    assert found["harmony/ap_lost"] == found["harmony/oracle_ap"] - found["harmony/ap"]


def test_oracle_is_the_ap_of_boxes_scored_by_their_iou() -> None:
    samples = random_samples(30, seed=2)
    oracle = evaluate(samples)["harmony/oracle_ap"]
    for sample in samples:
        found, truth = sample["pred_instances"], sample["gt_instances"]
        for index, box in enumerate(found["bboxes"].tolist()):
            ious = [
                naive_iou(box, gt)
                for gt, label in zip(truth["bboxes"].tolist(), truth["labels"], strict=True)
                if label == found["labels"][index]
            ]
            found["scores"][index] = max(ious, default=0.0)
    rescored = evaluate(samples)
    assert rescored["harmony/ap"] == pytest.approx(oracle, abs=1e-9)
    assert rescored["harmony/ap_lost"] == pytest.approx(0, abs=1e-9)
    assert (
        rescored["harmony/calibration_error"]
        < evaluate(random_samples(30, seed=2))["harmony/calibration_error"]
    )


def test_perfect_detector() -> None:
    gt = [[0, 0, 10, 10], [50, 50, 60, 60]]
    # IoUs 1 and 0.8, each with a score that says so.
    result = evaluate([make_sample([[0, 0, 10, 10], [50, 50, 60, 58]], [1.0, 0.8], gt)])
    expected = dict(
        harmony_score=1,
        harmonious=1,
        pearson=1,
        spearman=1,
        calibration_error=0,
        ap_lost=0,
        num_detections=2,
    )
    for name, value in expected.items():
        assert result[f"harmony/{name}"] == pytest.approx(value, abs=1e-6), name
    # Both are found up to a threshold of 0.8, the first one alone at three.
    assert result["harmony/ap"] == pytest.approx((7 + 3 * 51 / 101) / 10)


def test_exchanged_scores_lose_what_they_should() -> None:
    gt = [[0, 0, 10, 10], [50, 50, 60, 60]]
    # IoUs 1 and 0.72; the worse box has the better score.
    result = evaluate([make_sample([[0, 0, 10, 10], [50, 50, 59, 58]], [0.72, 1.0], gt)])
    # Up to 0.7 (5 thresholds) both are hits in any order. Above, the right order is hit, miss:
    # precision 1 up to a recall of 1/2; the wrong one is miss, hit: precision 1/2 up to there.
    assert result["harmony/oracle_ap"] == pytest.approx((5 + 5 * 51 / 101) / 10)
    assert result["harmony/ap_lost"] == pytest.approx(5 * 51 / 101 / 2 / 10)
    assert result["harmony/pearson"] == pytest.approx(-1)
    assert result["harmony/spearman"] == pytest.approx(-1)
    assert result["harmony/calibration_error"] == pytest.approx(0.28, abs=1e-6)
    assert result["harmony/harmony_score"] == pytest.approx(1 - math.tanh(0.28), abs=1e-6)


def test_mean_over_detections_of_all_images() -> None:
    samples = [
        # IoU with the first box 50/100, with the second 0.
        make_sample([[0, 0, 10, 5]], [0.8], [[0, 0, 10, 10], [50, 50, 60, 60]]),
        # IoU 1 and 1/3.
        make_sample([[0, 0, 4, 4], [2, 0, 6, 4]], [0.9, 0.4], [[0, 0, 4, 4]]),
    ]
    expected = [1 - math.tanh(0.3), 1 - math.tanh(0.1), 1 - math.tanh(0.4 - 1 / 3)]
    result = evaluate(samples)
    assert result["harmony/harmony_score"] == pytest.approx(sum(expected) / 3, abs=1e-6)
    assert result["harmony/num_detections"] == 3


def test_threshold_is_inclusive() -> None:
    sample = make_sample([[0, 0, 4, 4]] * 3, [0.49, 0.5, 0.51], [[0, 0, 4, 4]])
    assert evaluate([sample], score_thr=0.5)["harmony/num_detections"] == 2


def test_image_without_ground_truth_counts_as_not_localized() -> None:
    result = evaluate([make_sample([[0, 0, 4, 4]], [0.7], [])])
    assert result["harmony/harmony_score"] == pytest.approx(1 - math.tanh(0.7), abs=1e-6)


def test_crowds_are_background_for_harmony_and_ignored_by_ap() -> None:
    boxes, gt = [[0, 0, 4, 4], [20, 20, 30, 30]], [[0, 0, 4, 4], [20, 20, 40, 40]]
    result = evaluate([make_sample(boxes, [0.5, 0.9], gt, ignored=1)])
    assert result["harmony/mean_iou"] == pytest.approx(0.5)
    assert result["harmony/ap"] == pytest.approx(1)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("tbd.evaluation.harmony.print_log", lambda text, **_: found.append(text))
    return found


@pytest.mark.parametrize(
    "samples", [[make_sample([], [], [[0, 0, 4, 4]])], [make_sample([], [], [])], []]
)
def test_no_detection_is_reported_as_zero(
    samples: list[dict[str, Any]], messages: list[str]
) -> None:
    metric = HarmonyMetric()
    metric.process(None, samples)
    result = metric.compute_metrics(metric.results)
    assert (result.pop("harmony_score"), result.pop("num_detections")) == (0, 0)
    assert "no detection has a score of 0.3" in messages[0]
    truth = any(len(sample["gt_instances"]["bboxes"]) for sample in samples)
    assert result == (dict(ap=0, oracle_ap=0, ap_lost=0) if truth else {})


def test_what_does_not_exist_is_left_out_and_said(messages: list[str]) -> None:
    # Equal scores have no correlation with anything; without ground truth there is no AP.
    result = evaluate([make_sample([[0, 0, 4, 4], [9, 9, 12, 12]], [0.5, 0.5], [])])
    assert not {"harmony/pearson", "harmony/spearman", "harmony/ap", "harmony/ap_lost"} & set(
        result
    )
    assert all(math.isfinite(value) for value in result.values())
    assert "no ground truth in any image" in messages[0]
    assert messages[1].startswith("HarmonyMetric: pearson, spearman, ap, oracle_ap, ap_lost not")


def test_empty_boxes_have_no_overlap() -> None:
    result = evaluate([make_sample([[3, 3, 3, 3], [0, 0, 4, 4]], [0.5, 0.9], [[3, 3, 3, 3]])])
    assert result["harmony/mean_iou"] == 0


def test_one_record_per_image() -> None:
    metric = HarmonyMetric()
    metric.process(None, [make_sample([], [], []), make_sample([[0, 0, 4, 4]] * 2, [0.7, 0.8], [])])
    assert len(metric.results) == 2


def test_a_record_is_no_larger_than_cocos() -> None:
    sample = random_samples(1, seed=3)[0]
    found = sample["pred_instances"]
    for key in found:
        found[key] = found[key].repeat(4, *[1] * (found[key].ndim - 1))[:100]
    harmony, coco = HarmonyMetric(), CocoMetric()
    harmony.process(None, [sample])
    coco.process(None, [sample | dict(instances=[])])

    def size(value: Any) -> int:
        if isinstance(value, np.ndarray):
            return value.nbytes
        if hasattr(value, "__dataclass_fields__"):
            return size([getattr(value, name) for name in value.__dataclass_fields__])
        values = value.values() if isinstance(value, dict) else value
        return sum(map(size, values)) if isinstance(value, dict | list | tuple) else 0

    assert len(found["scores"]) == 100
    assert size(harmony.results) <= size(coco.results)


def test_missing_ground_truth_names_the_pipeline_step() -> None:
    sample = make_sample([[0, 0, 4, 4]], [0.7], [])
    del sample["gt_instances"]["bboxes"]
    with pytest.raises(ValueError, match="LoadAnnotations"):
        evaluate([sample])


def test_class_lists_that_differ(tmp_path: Any) -> None:
    sample = make_sample([[0, 0, 4, 4]], [0.7], [[0, 0, 4, 4]], labels=[3])
    metric = HarmonyMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ValueError, match=r"class number 3.*metainfo\.classes.*has 3 classes"):
        metric.process(None, [sample])

    ann_file = write_annotations(tmp_path / "truth.json", [sample])
    for classes in (("bar", "circle"), ()):
        metric = HarmonyMetric(ann_file=ann_file)
        metric.dataset_meta = dict(classes=classes)
        with pytest.raises(ValueError, match=r"ann_file, which has \['bar', 'square', 'tile'\]"):
            metric.process(None, [make_sample([], [], [])])


@pytest.mark.parametrize("score_thr", [-0.1, 1.1])
def test_threshold_out_of_range(score_thr: float) -> None:
    with pytest.raises(ValueError, match="score_thr"):
        HarmonyMetric(score_thr=score_thr)


def test_dense_without_its_hook() -> None:
    with pytest.raises(ValueError, match=r"DensePredictionsHook.*custom_hooks"):
        evaluate([make_sample([], [], [])], dense=True)


def test_dense_summaries_are_reported_beside_the_rest(messages: list[str]) -> None:
    from tbd.evaluation.dense_summary import DenseSummary

    def with_dense(scores: list[float], ious: list[float], score_thr: float) -> dict[str, Any]:
        summary = DenseSummary.of(np.array(scores), np.array(ious), score_thr)
        return make_sample([[0, 0, 4, 4]], [0.7], [[0, 0, 4, 4]]) | {DENSE_KEY: summary}

    samples = [with_dense([0.5, 0.9], [0.4, 1.0], 0.3), with_dense([], [], 0.3)]
    result = evaluate(samples, dense=True)
    assert result["harmony/dense_num_predictions"] == 2
    assert result["harmony/dense_harmony_score"] == pytest.approx(1 - math.tanh(0.1))
    assert result["harmony/dense_pearson"] == pytest.approx(1)
    assert result["harmony/num_detections"] == 2

    nothing = evaluate(samples[1:], dense=True)
    assert nothing["harmony/dense_num_predictions"] == 0
    assert "harmony/dense_harmony_score" not in nothing
    assert any("no dense prediction" in text for text in messages)
    with pytest.raises(ValueError, match=r"0\.5 in HarmonyMetric and 0\.3 in"):
        evaluate(samples, dense=True, score_thr=0.5)


def test_builds_from_a_config() -> None:
    evaluator = Evaluator([{"type": "tbd.HarmonyMetric", "score_thr": 0.2}])
    assert isinstance(evaluator.metrics[0], tbd.evaluation.HarmonyMetric)


def _evaluate_share(rank: int, port: str, folder: str) -> None:
    # Gathering over files writes to the working directory.
    os.chdir(folder)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    samples = random_samples(7)
    # As the sampler shares them: in turns, the last round filled up from the start.
    share = [*samples, samples[0]][rank::2]
    results = []
    for collect_device in ("cpu", "gpu"):
        metric = HarmonyMetric(collect_device=collect_device)
        metric.process(None, share)
        results.append(metric.evaluate(len(samples)))
    if rank == 1:
        # Every process is told the numbers of all.
        torch.save(results, f"{folder}/results.pth")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path: Any) -> None:
    torch.multiprocessing.spawn(_evaluate_share, (free_port(), str(tmp_path)), nprocs=2)
    assert torch.load(tmp_path / "results.pth") == [evaluate(random_samples(7))] * 2
