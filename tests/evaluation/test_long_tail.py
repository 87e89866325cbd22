import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.config import Config
from mmengine.evaluator import Evaluator

from tbd.evaluation import LongTailCocoMetric
from tbd.studies.comparison.class_aps import with_classwise

CLASSES = ("bar", "square", "tile", "disc")


def write_coco(path, labels_per_image):
    """One 20×20 box for each label; a negative label −k−1 is a crowd of class k."""
    annotations = []
    for image_id, labels in enumerate(labels_per_image):
        for index, label in enumerate(labels):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=11 + (label if label >= 0 else -label - 1),
                    bbox=[30 * index, 10, 20, 20],
                    area=400,
                    iscrowd=int(label < 0),
                )
            )
    content = dict(
        images=[dict(id=i, width=200, height=100) for i in range(len(labels_per_image))],
        annotations=annotations,
        categories=[dict(id=11 + i, name=name) for i, name in enumerate(CLASSES)],
    )
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def files(tmp_path):
    train = write_coco(tmp_path / "train.json", [[0, 0, 0, 0], [0, 1, 1, -3], [1, 2, 0]])
    test = write_coco(tmp_path / "val.json", [[0, 1, 2], [0, 0, 1], [2, 1, 0]])
    return dict(train_ann_file=train, ann_file=test)


def evaluate(metric, seed=0):
    """Values for noisy detections of some of the boxes."""
    rng = np.random.default_rng(seed)
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dict(classes=CLASSES)
    content = metric._coco_api.dataset
    for image in content["images"]:
        found = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        x, y = (np.array([a["bbox"][i] for a in found]) for i in (0, 1))
        boxes = np.stack([x, y, x + 20, y + 20], axis=1) + rng.normal(0, 2, (len(found), 4))
        labels = [int(a["category_id"]) - 11 for a in found]
        labels[0] = int(rng.integers(3))
        instances = dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            scores=torch.tensor(rng.random(len(found)), dtype=torch.float32),
            labels=torch.tensor(labels),
        )
        sample = dict(img_id=image["id"], ori_shape=(100, 200), pred_instances=instances)
        evaluator.process([sample], None)
    return evaluator.evaluate(len(content["images"]))


def test_groups_are_means_of_cocos_class_aps(files):
    # Six bars, three squares, one tile; two squares and no disc besides a crowd.
    values = evaluate(LongTailCocoMetric(**files, thresholds=(3, 6)))
    stock = evaluate(CocoMetric(ann_file=files["ann_file"], classwise=True))
    assert values.items() >= {k: v for k, v in stock.items() if not np.isnan(v)}.items()
    bar, square, tile = (stock[f"coco/{name}_precision"] for name in CLASSES[:3])
    assert np.isnan(stock["coco/disc_precision"])
    assert len({bar, square, tile}) == 3
    assert values["coco/bbox_mAP_frequent"] == bar
    assert values["coco/bbox_mAP_common"] == square
    # The disc has no ground truth to be judged by.
    assert values["coco/bbox_mAP_rare"] == tile
    assert np.mean([bar, square, tile]) == pytest.approx(stock["coco/bbox_mAP"], abs=1e-3)

    values = evaluate(LongTailCocoMetric(**files, thresholds=(4, 6)))
    assert values["coco/bbox_mAP_rare"] == pytest.approx((square + tile) / 2)
    assert values["coco/bbox_mAP_common"] == -1


def test_classes_may_be_asked_for_as_of_any_coco_metric(files):
    options = dict(test_evaluator=[dict(type="tbd.LongTailCocoMetric", **files)])
    cfg = Config(options)
    cfg.merge_from_dict(with_classwise({}, cfg))
    (asked,) = Evaluator(cfg.test_evaluator).metrics
    assert evaluate(asked) == pytest.approx(evaluate(LongTailCocoMetric(**files)), nan_ok=True)


def test_counts_can_be_given(files):
    counted = evaluate(LongTailCocoMetric(**files, thresholds=(2, 6)))
    given = evaluate(
        LongTailCocoMetric(ann_file=files["ann_file"], class_counts=[6, 3, 1, 0], thresholds=(2, 6))
    )
    for group in ("rare", "common", "frequent"):
        assert given[f"coco/bbox_mAP_{group}"] == counted[f"coco/bbox_mAP_{group}"]


def test_no_detection_at_all_gives_what_coco_metric_gives(files):
    metric = LongTailCocoMetric(**files)
    metric.dataset_meta = dict(classes=CLASSES)
    nothing = dict(bboxes=torch.empty(0, 4), scores=torch.empty(0), labels=torch.empty(0).long())
    metric.process({}, [dict(img_id=0, ori_shape=(100, 200), pred_instances=nothing)])
    assert metric.evaluate(1) == {}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(class_counts=[1, 2, 3, 4]), ValueError, "give exactly one of them"),
        (dict(train_ann_file=None), ValueError, "give exactly one of them"),
        (dict(train_ann_file="nowhere.json"), FileNotFoundError, r"nowhere\.json.*class_counts"),
        (dict(thresholds=(5, 2)), ValueError, r"thresholds must be two .* \(5, 2\)"),
        (dict(thresholds=(5,)), ValueError, "thresholds"),
        (dict(metric="proposal"), ValueError, "'proposal'"),
        (dict(classwise=False), ValueError, "classwise=False, but groups"),
    ],
)
def test_bad_arguments(files, change, error, message):
    with pytest.raises(error, match=message):
        LongTailCocoMetric(**(files | change))


def test_counts_of_other_classes_are_refused(files):
    metric = LongTailCocoMetric(ann_file=files["ann_file"], class_counts=[1, 2])
    metric.dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ValueError, match="2 entries, but the data set has 4 classes"):
        metric.class_counts()
    metric = LongTailCocoMetric(**files)
    metric.dataset_meta = dict(classes=("bar", "ring"))
    with pytest.raises(ValueError, match="no category ring; it has bar, square, tile, disc"):
        metric.class_counts()
