import pytest
from mmengine.config import Config

from tbd.studies.comparison.class_aps import class_aps, format_class_table, with_classwise
from tbd.studies.comparison.report import RunResult


def test_only_coco_evaluators_are_asked_for_classes():
    coco, harmony = dict(type="CocoMetric"), dict(type="tbd.HarmonyMetric")
    assert with_classwise({}, Config(dict(test_evaluator=coco))) == {
        "test_evaluator.classwise": True
    }
    both = Config(dict(test_evaluator=[harmony, coco]))
    assert with_classwise({}, both) == {"test_evaluator.1.classwise": True}
    assert with_classwise({}, Config(dict())) == {}
    replaced = {"test_evaluator": [coco, dict(type="VOCMetric")], "seed": 1}
    assert with_classwise(replaced, both) == {
        "test_evaluator": [{**coco, "classwise": True}, dict(type="VOCMetric")],
        "seed": 1,
    }


def test_a_class_without_objects_has_no_ap():
    values = {
        "coco/bbox_mAP": 0.5,
        "coco/white cell_precision": 0.25,
        "coco/none_precision": float("nan"),
    }
    assert class_aps(values) == {"ap/white cell": 25.0, "ap/none": None}


def test_the_table_has_mean_and_deviation_of_every_class():
    results = [
        RunResult("plain", 0, {"ap": 1.0, "ap/red": 10.0, "ap/white": None}),
        RunResult("plain", 1, {"ap": 1.0, "ap/red": 14.0}),
        RunResult("tbd", 0, {"ap": 1.0, "ap/red": 20.0, "ap/white": 5.0}),
    ]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in format_class_table(results).splitlines()
    ]
    assert rows[0] == ["config", "red", "white"]
    assert rows[2:] == [["plain", "12.0 ± 2.8", "–"], ["tbd", "20.0", "5.0"]]
    assert format_class_table([RunResult("plain", 0, {"ap": 1.0})]) == ""


@pytest.mark.parametrize("classes", [20, 21])
def test_of_many_classes_those_that_differ_most_are_shown(classes):
    results = [
        RunResult(name, 0, {f"ap/{index}": float(index * factor) for index in range(classes)})
        for name, factor in (("a", 1), ("b", 2))
    ]
    shown = format_class_table(results).splitlines()[0].count("|") - 2
    assert shown == 20
    assert (" 0 " in format_class_table(results).splitlines()[0]) == (classes == 20)
