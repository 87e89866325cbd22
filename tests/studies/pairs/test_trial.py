"""The shipped distillations, each trained for two steps; and that a broken one is noticed."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
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
from tbd.studies.pairs.zoo import pair_key


@cache
def pairs():
    """The config that stands for each pair."""
    paths = (str(Path(path).relative_to(ROOT)) for path in shipped_pairs(ROOT))
    return {pair_key(shipped(path).model): path for path in paths}


@cache
def trained():
    """One config of each pair, and of each method one with its own options."""
    # The last of a folder is kept, and RetinaNet's are the cheapest.
    by_cost = sorted(distillations(), key=lambda config: "_retinanet_r101" in config)
    of_methods = {Path(config).parts[0]: config for config in by_cost}
    return sorted({*pairs().values(), *of_methods.values()})


@pytest.fixture(scope="module")
def shipped_trials(request):
    """Trials of the chosen configs, under way in processes of their own."""
    chosen = {
        pairs()[pair_key(shipped(config).model)] if config not in trained() else config
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_shipped_distillation_works"
        for config in [item.callspec.params["config"]]
    }
    context = multiprocessing.get_context("spawn")
    # Beside other tests, one of two cores is theirs.
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    jobs = min(2 if alone else 1, len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(
        jobs, context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        of_pairs = set(pairs().values())
        yield {
            config: pool.submit(try_pair, str(ROOT / config), all_terms=config in of_pairs)
            for config in sorted(chosen)
        }


@pytest.mark.slow
@pytest.mark.parametrize("config", distillations())
def test_shipped_distillation_works(config, shipped_trials, tmp_path):
    own = {term["type"] for term in shipped(config).model.distill.values() if term}
    assert own
    if config not in trained():
        # Its pair is trained with all terms and its method on another pair; here is its own mix.
        terms = MODELS.build(trial_config(str(ROOT / config), str(tmp_path)).model).terms
        assert {f"tbd.{type(term).__name__}" for term in terms.values()} == own
        config = pairs()[pair_key(shipped(config).model)]
    trial = shipped_trials[config].result()
    if trial.missing:
        pytest.skip(trial.missing)
    assert not any(trial.terms[kind].refusal for kind in own)


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


def test_a_distillation_without_a_teacher_detector_is_tried(tmp_path):
    encoder = dict(type="mmdet.ResNet", depth=18, base_channels=8, allow_random=True)
    foundation = dict(type="tbd.FoundationFeatureDistillation", encoder=encoder)
    model = wrapper(teacher=None, allow_random_teacher=False, distill=dict(foundation=foundation))
    config = config_dict(tmp_path / "data", model)
    trial = try_pair(write_config(tmp_path / "alone.py", config))
    assert trial.teacher == "none"
    assert trial.terms[foundation["type"]].reaches == ("backbone", "neck")
    assert "model.teacher is None" in trial.terms["tbd.HarmonyDistillation"].refusal


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
