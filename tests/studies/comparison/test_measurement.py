import json

import pytest

from tbd.studies.comparison.measurement import (
    first_validation,
    standard_names,
    with_nothing_found,
)


@pytest.mark.parametrize("several", [False, True])
def test_a_detector_that_finds_nothing_has_an_ap_of_0(several):
    coco = dict(type="CocoMetric", metric=["bbox", "segm"])
    evaluators = [dict(type="tbd.HarmonyMetric"), coco] if several else coco
    # COCO's evaluator reports nothing at all where there is no detection.
    found = standard_names(with_nothing_found({}, evaluators), {})
    assert found["ap"] == found["ap50"] == found["mask_ap75"] == 0
    assert found["ap_small"] is None
    values = {"coco/bbox_mAP": 0.5, "coco/segm_mAP": -1.0}
    assert with_nothing_found(values, evaluators) == values
    assert with_nothing_found({}, dict(type="VOCMetric")) == {}


def test_groups_of_a_long_tail_are_reported_where_they_are_measured():
    found = standard_names({"coco/bbox_mAP_rare": 0.25, "coco/bbox_mAP_common": -1}, {})
    assert found["ap_rare"] == 25
    assert found["ap_common"] is None
    assert found["ap_frequent"] is None


def test_the_first_of_several_validations_is_read_from_the_logs(tmp_path):
    def log(run, *records):
        path = tmp_path / run / "vis_data" / "scalars.json"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))

    log("1", {"loss": 1.0, "step": 3}, {"coco/segm_mAP": 0.25, "step": 4})
    assert first_validation(tmp_path) == {}
    # A resumed run has a second log.
    log("2", {"coco/segm_mAP": 0.5, "step": 8})
    first = first_validation(tmp_path)
    names = standard_names({"coco/segm_mAP": 0.5, "coco/segm_mAP_75": -1.0}, first)
    assert (names["mask_ap_first"], names["mask_ap"], names["mask_ap75"]) == (25, 50, None)
    assert standard_names({"coco/bbox_mAP": 0.5}, {})["mask_ap_first"] is None
