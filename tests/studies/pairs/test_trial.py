"""The shipped distillations, each trained for two steps; and that a broken one is noticed."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from mmdet.models.dense_heads import paa_head
from shipped import ROOT, distillations, shipped
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config

from tbd.detectors.frozen_teacher import FrozenTeacher
from tbd.distill import PearsonFeatureDistillation
from tbd.engine import export_student
from tbd.registry import MODELS
from tbd.studies.pairs import BrokenDistillationError, shipped_pairs, try_pair, try_pairs
from tbd.studies.pairs.trial_config import trial_config


@pytest.fixture(scope="module")
def shipped_trials(request):
    """Trials of the chosen configs, under way in processes of their own."""
    chosen = [
        item.callspec.params["config"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_shipped_distillation_works"
    ]
    context = multiprocessing.get_context("spawn")
    # Beside other tests, one of two cores is theirs.
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    jobs = min(2 if alone else 1, len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(
        jobs, context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        pairs = set(shipped_pairs(ROOT))
        yield {
            config: pool.submit(try_pair, path, all_terms=path in pairs)
            for config, path in ((config, str(ROOT / config)) for config in chosen)
        }


@pytest.mark.slow
@pytest.mark.parametrize("config", distillations())
def test_shipped_distillation_works(config, shipped_trials):
    trial = shipped_trials[config].result()
    if trial.missing:
        pytest.skip(trial.missing)
    assert trial.own_terms
    assert not any(trial.terms[kind].refusal for kind in trial.own_terms)


def test_terms_are_at_their_full_weight_from_the_start_of_a_trial(tmp_path):
    config = "frs/frs_retinanet_r101_r50.py"
    assert "schedule" in shipped(config).model.distill.frs
    assert "schedule" not in trial_config(str(ROOT / config), str(tmp_path)).model.distill.frs


@pytest.mark.openmmlab
def test_a_pair_of_two_stages_and_one_with_other_pyramids():
    trial = try_pair(str(ROOT / "tbd/tbd_faster-rcnn_retinanet-x101_r50.py"))
    assert (trial.teacher, trial.student) == ("RetinaNet", "FasterRCNN")
    assert trial.own_terms == (
        "tbd.HarmonyDistillation",
        "tbd.TaskDecoupledFeatureDistillation",
    )
    assert set(trial.terms["tbd.HarmonyDistillation"].reaches) == {"backbone", "neck", "rpn_head"}
    features = trial.terms["tbd.TaskDecoupledFeatureDistillation"]
    assert features.reaches == ("backbone", "neck")
    assert features.losses.keys() == {"loss_cls_feature", "loss_loc_feature"}
    assert "the teacher does not give" in trial.terms["tbd.RoIDistillation"].refusal


@pytest.mark.slow
def test_what_the_students_own_loss_lacks_is_said(monkeypatch):
    monkeypatch.setattr(paa_head, "skm", None)
    trial = try_pair(str(ROOT / "tbd/tbd_paa_r101_r50.py"))
    assert trial.missing == "the student's own loss needs scikit-learn"
    assert trial.terms["tbd.HarmonyDistillation"].losses is None


@pytest.fixture
def tiny_pair(tmp_path):
    """Write a config of a distillation with one term, which the test may break."""

    def write(term="tbd.PearsonFeatureDistillation", **model):
        content = wrapper(distill=dict(term=dict(type=term)), **model)
        return write_config(tmp_path / "tiny.py", config_dict(tmp_path / "data", content))

    return write


@pytest.fixture
def broken_term(monkeypatch):
    """Register a term with another ``forward`` for the time of the test."""

    def register(forward):
        term = type("BrokenDistillation", (PearsonFeatureDistillation,), {"forward": forward})
        monkeypatch.setitem(MODELS.module_dict, "BrokenDistillation", term)
        return "tbd.BrokenDistillation"

    return register


def test_a_term_that_is_zero_is_noticed(tiny_pair, broken_term):
    term = broken_term(lambda self, student, teacher: {"loss": student.features[0].sum() * 0})
    with pytest.raises(BrokenDistillationError, match=r"term\.loss is 0 at step 0"):
        try_pair(tiny_pair(term))


def test_a_gradient_that_does_not_arrive_is_noticed(tiny_pair, broken_term):
    def forward(self, student, teacher):
        return {"loss": sum(parameter.square().sum() for parameter in self.parameters())}

    with pytest.raises(BrokenDistillationError, match="gradient of term does not reach"):
        try_pair(tiny_pair(broken_term(forward)))


def test_a_loss_that_is_not_finite_is_noticed(tiny_pair, broken_term):
    term = broken_term(lambda self, student, teacher: {"loss": student.features[0].sum() / 0})
    with pytest.raises(BrokenDistillationError, match=r"is (nan|inf|-inf) at step 0"):
        try_pair(tiny_pair(term))


def test_a_teacher_that_changes_is_noticed(tiny_pair, monkeypatch):
    def train_a_bit(self, *args):
        next(self.detector.parameters()).add_(1)
        return original(self, *args)

    original = FrozenTeacher.__call__
    monkeypatch.setattr(FrozenTeacher, "__call__", torch.no_grad()(train_a_bit))
    with pytest.raises(
        BrokenDistillationError, match="teacher's weights or statistics have changed"
    ):
        try_pair(tiny_pair())


def test_an_export_of_other_weights_is_noticed(tiny_pair, monkeypatch):
    def export_wrongly(config, checkpoint, out_dir, **options):
        original(config, checkpoint, out_dir, **options)
        path = Path(out_dir) / "student.pth"
        content = torch.load(path)
        content["state_dict"]["bbox_head.retina_reg.bias"] += 1
        torch.save(content, path)

    original = export_student
    monkeypatch.setattr("tbd.studies.pairs.export_check.export_student", export_wrongly)
    with pytest.raises(BrokenDistillationError, match="predicts something else"):
        try_pair(tiny_pair())


@pytest.mark.slow
def test_several_pairs_are_tried_whatever_becomes_of_one(tiny_pair, tmp_path):
    good = tiny_pair()
    bad = write_config(
        tmp_path / "bad.py", config_dict(tmp_path / "data", wrapper(student=retinanet(classes=4)))
    )
    lines = []
    trials, errors = try_pairs([bad, good], jobs=2, progress=lines.append)
    assert [trial.name for trial in trials] == ["tiny"]
    assert errors.keys() == {bad}
    assert "tells apart 4 classes" in errors[bad]
    assert sorted(line[:5] for line in lines) == ["[1/2]", "[2/2]"]
