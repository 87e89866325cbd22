import json

import pytest
from tiny import retinanet
from tiny_run import config_dict, write_config

from tbd.studies.comparison.gradient_table import (
    GRADIENT_FILE,
    distillations_without_shares,
    format_gradient_shares,
)
from tbd.studies.comparison.runs import make_run


@pytest.fixture
def run(tmp_path):
    model = dict(
        type="tbd.TeacherStudentDetector",
        student=retinanet(),
        teacher=retinanet(width=8),
        distill=dict(hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0)),
    )
    config = write_config(tmp_path / "distilled.py", config_dict(tmp_path / "data", model))
    found = make_run(config, 0, tmp_path / "out")
    found.folder.mkdir(parents=True)
    return found


def test_shares_are_those_of_each_moment(run):
    norms = [{"student": 3.0, "hd": 1.0}, {"student": 1.0, "hd": 1.0}, {"student": 1.0, "hd": 4.0}]
    by_step = dict(zip((0, 9, 20), norms, strict=True))
    (run.folder / GRADIENT_FILE).write_text(json.dumps(by_step))
    *_, student, hd = format_gradient_shares([run]).splitlines()
    assert [cell.strip() for cell in student.split("|")[2:-1]] == ["student", "75%", "50%", "20%"]
    assert [cell.strip() for cell in hd.split("|")[2:-1]] == ["hd", "25%", "50%", "80%"]
    assert distillations_without_shares([run]) == []


@pytest.mark.parametrize("content", [None, "{", "[]", '{"0": {"student": 1.0}}'])
def test_distillations_without_shares_are_listed(run, content, tmp_path):
    if content is not None:
        (run.folder / GRADIENT_FILE).write_text(content)
    plain = make_run(
        write_config(tmp_path / "plain.py", config_dict(tmp_path / "data", retinanet())),
        0,
        tmp_path / "out",
    )
    assert format_gradient_shares([run, plain]) == ""
    assert distillations_without_shares([run, plain]) == [run]
