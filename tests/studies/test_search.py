import json
from pathlib import Path

import pytest
from mmengine.config import Config
from shipped import ROOT

from tbd.engine import load_config
from tbd.studies import search as module
from tbd.studies.search import factors, search

CONFIG = str(ROOT / "shapes/tbd_retinanet_shapes.py")
KEYS = ["model.distill.hd.loss_weight", "model.distill.tfd.loss_weight"]


@pytest.fixture
def trained(monkeypatch):
    """Trainings that are not made: their AP depends on the config's weight and the seed."""
    runs = []

    def finish_run(run):
        cfg = run.load()
        if "distill" not in cfg.model:
            return {"ap": 50.0}
        distance = abs(cfg.model.distill.hd.loss_weight - 1.5)
        # Seed 100 favours what the others do not.
        luck = {100: 0.0, 101: -8.0 if distance < 1 else 0.0, 102: 0.0}[run.seed]
        runs.append((run.name, run.seed))
        return {"ap": 40.0 - distance + luck}

    monkeypatch.setattr(module, "finish_run", finish_run)
    return runs


def test_factors():
    assert factors(6, 2.0) == [0.125, 0.25, 0.5, 1, 2, 4]
    assert factors(1, 2.0) == [1]
    assert factors(3, 10.0) == [0.1, 1, 10]


def test_every_factor_is_tried_once_and_the_best_are_repeated(trained, tmp_path):
    weight = load_config(CONFIG).model.distill.hd.loss_weight
    search(CONFIG, KEYS, tmp_path, trials=6)
    name = "tbd_retinanet_shapes_x"
    first = [(f"{name}{factor:g}", 100) for factor in factors(6, 2.0)]
    assert trained[:6] == first
    near = sorted(factors(6, 2.0), key=lambda factor: abs(factor * weight - 1.5))[:2]
    repeated = {(f"{name}{factor:g}", seed) for factor in near for seed in (101, 102)}
    assert set(trained[6:]) == repeated
    assert len(trained) == 10


def test_the_highest_mean_of_the_finalists_wins(trained, tmp_path):
    weight = load_config(CONFIG).model.distill.hd.loss_weight
    winner = search(CONFIG, KEYS, tmp_path, trials=3, step=3.0, finalists=2)
    (document,) = tmp_path.glob("*.json")
    trials = json.loads(document.read_text())
    means = {
        trial["factor"]: sum(trial["aps"].values()) / 3
        for trial in trials
        if len(trial["aps"]) == 3
    }
    assert len(means) == 2
    assert winner.factor == max(means, key=means.get)
    assert winner.weights[KEYS[0]] == pytest.approx(winner.factor * weight)
    assert len((tmp_path / "tbd_retinanet_shapes.md").read_text().splitlines()) == 5


def test_a_trials_config_differs_in_the_weights_alone(trained, tmp_path):
    search(CONFIG, KEYS, tmp_path, trials=2, finalists=1)
    original = Config.fromfile(CONFIG)
    found = Config.fromfile(str(tmp_path / "configs/tbd_retinanet_shapes_x0.5.py"))
    for term in ("hd", "tfd"):
        assert (
            found.model.distill[term].loss_weight == 0.5 * original.model.distill[term].loss_weight
        )
        found.model.distill[term].loss_weight = original.model.distill[term].loss_weight
    assert {**found.to_dict(), "comparison": None} == {**original.to_dict(), "comparison": None}
    assert Path(found.model.student).is_file()


@pytest.mark.parametrize("key", ["model.distill.hd", "model.distil.hd.loss_weight", "model.type"])
def test_what_is_no_weight_is_refused(key, tmp_path):
    with pytest.raises(ValueError, match=f"{key}' of .*tbd_retinanet_shapes.py is"):
        search(CONFIG, [key], tmp_path)


@pytest.mark.parametrize(
    "numbers", [dict(trials=0), dict(trials=2, finalists=3), dict(step=1.0), dict(finalists=0)]
)
def test_numbers_out_of_range_are_refused(numbers, tmp_path):
    with pytest.raises(ValueError, match="finalists from 1 to trials"):
        search(CONFIG, KEYS, tmp_path, **numbers)


def test_an_option_that_sets_what_is_searched_is_refused(trained, tmp_path):
    for option in (f"{KEYS[0]}=5.0", "model.distill.hd=none"):
        with pytest.raises(ValueError, match=rf"hd.*sets what the search varies, {KEYS[0]}, from"):
            search(CONFIG, KEYS, tmp_path, options=[option])
    assert trained == []


def test_a_shipped_config_is_searched_by_its_name(trained, tmp_path):
    name = "tbd::shapes/tbd_retinanet_shapes.py"
    winner = search(name, KEYS, tmp_path, trials=2, finalists=1)
    cfg = Config.fromfile(winner.config)
    assert cfg.comparison == dict(pair=name, terms="tbd:hd.loss_weight=1:tfd.loss_weight=0.25")
    assert (cfg.model.distill.hd.loss_weight, cfg.model.distill.tfd.loss_weight) == (1, 0.25)


def test_tables_are_named_after_the_config(trained, tmp_path):
    search("tbd::tbd_retinanet_r101_r50.py", KEYS, tmp_path, trials=2, finalists=1)
    assert {path.stem for path in tmp_path.glob("*.*")} == {"tbd_retinanet_r101_r50"}


def test_the_seed_of_a_teacher_that_is_not_trained_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="--teacher-seed 3: no teacher is trained here"):
        search(CONFIG, KEYS, tmp_path, teacher_seed=3)
    assert trained == []


def test_a_teacher_that_the_trials_could_not_load_is_not_trained(trained, tmp_path):
    other = str(ROOT / "shapes/retinanet_student_shapes.py")
    with pytest.raises(ValueError, match=r"retinanet_student_shapes\.py trains another detector"):
        search(CONFIG, KEYS, tmp_path, teacher=other)
    assert trained == []
    assert not list(tmp_path.iterdir())


def test_an_option_that_no_training_takes_is_refused_at_once(trained, tmp_path):
    with pytest.raises(ValueError, match=r"shapes\.py: train_cfg\.max_epoch=5 is no argument"):
        search(CONFIG, KEYS, tmp_path, options=["train_cfg.max_epoch=5"])
    assert trained == []


def test_a_tie_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(module, "finish_run", lambda run: {"ap": 3.0})
    assert search(CONFIG, KEYS, tmp_path, trials=3).factor == 0.5
    assert "factors 0.5, 1 tie; 0.5 is taken" in capsys.readouterr().out
