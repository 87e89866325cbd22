"""Configs by the names of methods. Nothing is trained here."""

import pytest
from mmengine.config import Config
from tiny import retinanet
from tiny_run import config_dict, write_config

from tbd.engine.config import load_config
from tbd.studies.comparison.methods import canonical_name, find_method, method_names, variant_name
from tbd.studies.comparison.pair import DEFAULT_PAIR, Pair

TWO_STAGE = "tbd::shapes/tbd_faster-rcnn_shapes.py"


@pytest.fixture
def pair(tmp_path):
    """A distillation, and the folder that its student and teacher lie in."""
    for name, width in (("teacher", 8), ("plain", 4)):
        write_config(
            tmp_path / f"{name}.py", config_dict(tmp_path / "data", retinanet(width=width))
        )
    content = config_dict(
        tmp_path / "data",
        dict(
            type="tbd.TeacherStudentDetector",
            student=str(tmp_path / "plain.py"),
            teacher=str(tmp_path / "teacher.py"),
            teacher_ckpt="not/trained.pth",
            distill=dict(
                hd=dict(type="tbd.HarmonyDistillation", loss_weight=3.0),
                tfd=dict(type="tbd.TaskDecoupledFeatureDistillation", loss_weight=0.5),
            ),
        ),
    )
    return Pair(write_config(tmp_path / "tbd_cells.py", content))


def distill(candidate):
    return load_config(candidate.config).model.distill.to_dict()


def test_every_folder_of_a_method_is_a_name():
    assert {
        *(
            "hd",
            "tfd",
            "tbd",
            "tbd-recurrent",
            "tbd-auto",
            "roi",
            "pkd",
            "cwd",
            "mgd",
            "fgd",
            "ld",
            "bckd",
        ),
        *("crosskd", "logit", "frs", "pgd", "fitnets", "fgfi", "defeat", "swfd", "ft", "vid"),
        *("adversarial", "detrdistill", "foundation", "qad"),
    } == set(method_names())
    assert canonical_name("FGD") == "fgd"
    assert canonical_name("factor-transfer") == "ft"


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ValueError, match=r"no method 'crossd'; the nearest is 'crosskd'"):
        canonical_name("crossd")


def test_weights_follow_the_kind_of_detector():
    assert find_method("mgd", "retinanet").distill["mgd"]["loss_weight"] == 2e-5
    two_stage = find_method("mgd", "faster-rcnn")
    assert two_stage.distill["mgd"]["loss_weight"] == 5e-7
    assert two_stage.source == "mgd/mgd_faster-rcnn_r101_r50.py"
    # One whose paper knows no such detector.
    assert find_method("pkd", "tood").source == "pkd/pkd_retinanet_r101_r50.py"
    assert find_method("detrdistill", "retinanet").source.startswith("detrdistill/")
    assert [hook["type"] for hook in find_method("ft", "retinanet").hooks] == [
        "tbd.ParaphraserPhaseHook"
    ]


@pytest.mark.parametrize(
    ("pair", "terms", "name"),
    [
        ("tbd_retinanet_shapes", "fgd", "fgd_retinanet_shapes"),
        ("tbd_retinanet_shapes", "tbd+pkd", "tbd+pkd_retinanet_shapes"),
        ("hd+pkd_retinanet_shapes", "fgd", "fgd_retinanet_shapes"),
        ("my_pair", "fgd", "fgd_my_pair"),
        ("tbd", "fgd", "fgd_tbd"),
    ],
)
def test_names_are_those_of_shipped_configs(pair, terms, name):
    assert variant_name(pair, terms) == name


def test_only_the_terms_differ_from_the_pair(pair, tmp_path):
    candidate = pair.candidate("fgd+pkd", tmp_path / "out")
    cfg = load_config(candidate.config).to_dict()
    assert set(cfg["model"]["distill"]) == {"fgd", "pkd"}
    assert cfg.pop("comparison") == {"pair": pair.config, "terms": "fgd+pkd"}
    own = pair.cfg.to_dict()
    assert cfg["model"].pop("distill") != own["model"].pop("distill")
    assert cfg == own
    assert candidate.source == "fgd/fgd_retinanet_r101_r50.py, pkd/pkd_retinanet_r101_r50.py"


def test_tbd_keeps_the_weights_of_the_pair(pair, tmp_path):
    own = pair.cfg.model.distill.to_dict()
    assert distill(pair.candidate("hd", tmp_path)) == {"hd": own["hd"]}
    both = distill(pair.candidate("tbd+mgd", tmp_path))
    assert both.pop("mgd")["loss_weight"] == 2e-5
    assert both == own
    # The pair's own config trains it by TBD, so nothing is written.
    assert pair.candidate("tbd", tmp_path).config == pair.config


def test_options_of_a_term_follow_its_name(pair, tmp_path):
    own = pair.cfg.model.distill.to_dict()
    candidate = pair.candidate("HD:norm=peak:weighted=False+pkd", tmp_path)
    assert candidate.terms == "hd:norm=peak:weighted=False+pkd"
    assert candidate.config.endswith("configs/hd-norm=peak-weighted=False+pkd_cells.py")
    changed = distill(candidate)
    assert changed["hd"] == {**own["hd"], "norm": "peak", "weighted": False}
    assert changed["pkd"]["loss_weight"] == 6.0
    both = distill(pair.candidate("tbd:tfd.task_weights=[1,0]:hd.loss_weight=0.5", tmp_path))
    assert both == {
        "hd": {**own["hd"], "loss_weight": 0.5},
        "tfd": {**own["tfd"], "task_weights": [1, 0]},
    }
    nested = distill(pair.candidate("hd:schedule.warm_up=10", tmp_path))
    assert nested["hd"]["schedule"] == {"warm_up": 10}
    # One method with and without an option are two rows.
    found, _ = pair.candidates(["hd", "hd:norm=peak"], tmp_path)
    assert [c.terms for c in found] == ["hd", "hd:norm=peak"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("hd:peak", r"'peak' sets nothing. Write :ARGUMENT=VALUE, .* tbd.HarmonyDistillation"),
        ("tbd:norm=peak", r":hd.ARGUMENT=VALUE or :tfd.ARGUMENT=VALUE"),
        ("hd:nrom=peak", r"hd:nrom=peak: .*nrom"),
        ("hd:norm=pek", r"hd:norm=pek: .*norm='pek'"),
        ("plain:norm=peak", "plain is the student without any term"),
    ],
)
def test_options_that_set_nothing_are_refused(pair, tmp_path, terms, message):
    with pytest.raises(ValueError, match=message):
        pair.candidates([terms], tmp_path / "out")


def test_hooks_of_a_term_come_with_it(pair, tmp_path):
    cfg = load_config(pair.candidate("ft", tmp_path).config)
    assert [hook["type"] for hook in cfg.custom_hooks] == ["tbd.ParaphraserPhaseHook"]


def test_a_config_beside_the_pair_is_taken_if_it_trains_the_same(pair, tmp_path):
    beside = tmp_path / "pkd_cells.py"
    text = "_base_ = 'tbd_cells.py'\nmodel = dict(distill=dict(_delete_=True, pkd=dict("
    text += "type='tbd.PearsonFeatureDistillation', loss_weight=1.5)))\n"
    beside.write_text(text)
    assert pair.candidate("pkd", tmp_path / "out").config == str(beside)
    assert distill(pair.candidate("hd+pkd", tmp_path / "out"))["pkd"]["loss_weight"] == 1.5
    beside.write_text(text + "train_cfg = dict(max_epochs=99)\n")
    own = distill(pair.candidate("pkd", tmp_path / "out"))
    assert own["pkd"]["loss_weight"] == 6.0


def test_shipped_configs_of_a_pair_are_taken(tmp_path):
    shapes = Pair(DEFAULT_PAIR)
    assert shapes.candidate("hd", tmp_path).config == "tbd::shapes/hd_retinanet_shapes.py"
    plain = shapes.candidate("plain", tmp_path).config
    assert plain == "tbd::shapes/retinanet_student_shapes.py"
    assert shapes.teacher(tmp_path) == "tbd::shapes/retinanet_teacher_shapes.py"


def test_plain_is_trained_as_the_distillation_is(pair, tmp_path):
    assert pair.candidate("plain", tmp_path / "out").config == str(tmp_path / "plain.py")
    # The student's own config now has another schedule.
    file = tmp_path / "plain.py"
    file.write_text(file.read_text() + "\ntrain_cfg = dict(max_epochs=99)\n")
    candidate = pair.candidate("plain", tmp_path / "out")
    cfg = Config.fromfile(candidate.config)
    assert candidate.config.endswith("configs/plain_cells.py")
    assert cfg.model.type == "RetinaNet"
    assert cfg.train_cfg == pair.cfg.train_cfg


def test_the_teacher_is_trained_unless_its_checkpoint_is_there(pair, tmp_path):
    root = tmp_path / "out"
    assert pair.teacher(root) == str(tmp_path / "teacher.py")
    checkpoint = tmp_path / "big.pth"
    checkpoint.touch()
    pair.cfg.model.teacher_ckpt = str(checkpoint)
    assert pair.teacher(root) is None
    # A comparison that has begun with a teacher of its own keeps it.
    (root / "teacher").mkdir(parents=True)
    assert pair.teacher(root) == str(tmp_path / "teacher.py")


def test_what_the_pair_cannot_carry_is_refused_before_any_training(pair, tmp_path):
    with pytest.raises(ValueError, match=r"--terms roi: .* needs a second stage"):
        pair.candidates(["plain", "roi"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"hd brings the term hd a second time"):
        pair.candidates(["tbd+hd"], tmp_path / "out")
    with pytest.raises(ValueError, match="named twice"):
        pair.candidates(["ft", "factor-transfer"], tmp_path / "out")
    with pytest.raises(ValueError, match="plain is the student without any term"):
        pair.candidates(["plain+hd"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"--pair .*plain.py: model.type is RetinaNet"):
        Pair(str(tmp_path / "plain.py"))


@pytest.mark.slow
def test_all_is_what_the_pair_can_carry(tmp_path):
    found, left_out = Pair(TWO_STAGE).candidates(["all", "tbd+roi"], tmp_path)
    assert set(left_out) == {"crosskd", "pgd", "detrdistill", "foundation"}
    assert {candidate.terms for candidate in found} == {"plain", "tbd+roi", *method_names()} - set(
        left_out
    )
    assert "separate class and box towers" in left_out["crosskd"]
