"""The C++ evaluation gives the numbers of pycocotools."""

import numpy as np
import pytest
from mmdet.evaluation.metrics import CocoMetric, coco_metric

from tbd.evaluation import FasterCocoMetric
from tbd.studies.evaluation_cost import CLASSES, write_annotations

pytest.importorskip("faster_coco_eval")


@pytest.mark.parametrize(
    "options",
    [
        dict(classwise=True),
        dict(metric="proposal"),
        # More detections in an image than the 100 at which COCO takes the AP.
        dict(proposal_nums=(10, 30, 50)),
        dict(metric_items=["mAP", "mAP_s", "AR@300"]),
    ],
)
def test_every_number_is_that_of_pycocotools(tmp_path, options):
    samples = write_annotations(tmp_path / "annotations.json", 12)
    # One image without detections, and detections of equal scores.
    for key, value in samples[3]["pred_instances"].items():
        samples[3]["pred_instances"][key] = value[:0]
    samples[4]["pred_instances"]["scores"] = samples[4]["pred_instances"]["scores"].round(
        decimals=1
    )
    values = []
    for kind in (CocoMetric, FasterCocoMetric):
        metric = kind(ann_file=str(tmp_path / "annotations.json"), **options)
        metric.dataset_meta = dict(classes=[f"class {index}" for index in range(CLASSES)])
        metric.process({}, samples)
        values.append(metric.evaluate(size=12))
    assert values[0].keys() == values[1].keys()
    for key, value in values[0].items():
        np.testing.assert_equal(values[1][key], value, err_msg=key)
    assert any(isinstance(value, float) and 0 < value < 1 for value in values[0].values())


def test_other_metrics_go_on_using_pycocotools(tmp_path):
    before = coco_metric.COCOeval
    samples = write_annotations(tmp_path / "annotations.json", 2)
    metric = FasterCocoMetric(ann_file=str(tmp_path / "annotations.json"))
    metric.dataset_meta = dict(classes=[f"class {index}" for index in range(CLASSES)])
    metric.process({}, samples)
    metric.evaluate(size=2)
    assert coco_metric.COCOeval is before
