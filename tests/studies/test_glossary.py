import re
from collections import Counter

import numpy as np
import pytest
from tiny_run import ROOT

from tbd.evaluation.agreement import measure_agreement
from tbd.studies.comparison.report import METRICS
from tbd.studies.glossary import GLOSSARY, in_studies
from tbd.studies.harmony import report as harmony_report

DENSE = "dense_"


def test_both_studies_name_what_they_report_out_of_the_glossary():
    columns = {key for keys in harmony_report._TABLES.values() for key in keys}
    assert columns | set(METRICS) <= GLOSSARY.keys()
    # What both report is one thing under one title.
    assert {"ap", "ap_lost", "harmony_score", "mean_confidence", "pearson"} <= columns & {*METRICS}


def test_evaluation_uses_the_same_names():
    rng = np.random.default_rng(0)
    scores, ious = rng.random((2, 50))
    found = measure_agreement(scores, ious)
    assert found.keys() <= GLOSSARY.keys()
    assert found["harmony_score"] == pytest.approx(np.mean(1 - np.tanh(np.abs(ious - scores))))
    assert found["mean_confidence"] == pytest.approx(scores.mean())


def test_no_two_names_share_a_title_or_a_definition():
    for field in ("title", "definition"):
        values = [
            getattr(measure, field)
            for name, measure in GLOSSARY.items()
            if not name.startswith(DENSE)
        ]
        assert [value for value, count in Counter(values).items() if count > 1] == []


def test_the_page_on_harmony_explains_the_same_names():
    page = (ROOT / "docs" / "harmony.md").read_text()
    tables = page.split("## The numbers")[1].split("## The report")[0]
    named = {
        name
        for line in tables.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    }
    assert {"harmony_score", "ap_lost", "iou_0.50_0.75"} <= named <= GLOSSARY.keys()


def test_percentages_leave_the_unit_interval_and_nothing_else_does():
    values = {"ap": 0.325, "harmonious": 0.1, "harmony_score": 0.7, "num_detections": 12}
    assert in_studies(values) == pytest.approx(
        {"ap": 32.5, "harmonious": 10, "harmony_score": 0.7, "num_detections": 12}
    )
    with pytest.raises(KeyError, match="mean_score"):
        in_studies({"mean_score": 0.7})
