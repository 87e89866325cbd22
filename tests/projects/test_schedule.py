"""How long a recipe trains on few images."""

import pytest
from mmengine.config import Config

from tbd.engine.config import load_config
from tbd.projects.recipe import Recipe
from tbd.projects.schedule import fit_schedule

RETINANET = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"


@pytest.fixture(scope="module")
def recipe():
    return Recipe(RETINANET, load_config(RETINANET))


def test_a_small_set_gets_more_epochs_and_a_schedule_stretched_over_them(recipe):
    found = fit_schedule(recipe, 100)
    assert (found.epochs, found.steps) == (60, 3000)
    assert found.settings["train_cfg"] == dict(max_epochs=60, val_interval=6)
    warm_up, steps = found.settings["param_scheduler"]
    assert (warm_up["end"], warm_up["by_epoch"]) == (300, False)
    assert (steps["begin"], steps["end"], steps["milestones"]) == (0, 60, [40, 55])
    # Not a checkpoint of every epoch.
    assert found.settings["default_hooks"]["checkpoint"] == dict(interval=6, max_keep_ckpts=2)


@pytest.mark.parametrize(("images", "epochs"), [(1, 100), (100_000, 12), (500, 12), (498, 13)])
def test_its_length_has_limits(recipe, images, epochs):
    found = fit_schedule(recipe, images)
    assert found.epochs == epochs
    assert bool(found.settings) == (epochs > 12)


def test_a_schedule_of_the_recipes_own_length_fits_the_rate_and_the_steps():
    name = "mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py"
    recipe = Recipe(name, load_config(name))
    found = fit_schedule(recipe, 96)
    assert (found.epochs, found.steps) == (300, 900)
    assert list(found.settings) == ["param_scheduler"]
    warm_up, cosine = found.settings["param_scheduler"]
    # A third of the training at most; the recipe's is longer than all of it.
    assert warm_up["end"] == 300
    assert cosine["eta_min"] == pytest.approx(0.05 * recipe.learning_rate())


def test_repeated_data_and_a_length_in_iterations():
    content = dict(
        train_dataloader=dict(
            batch_size=4, dataset=dict(times=3, dataset=dict(dataset=dict(type="CocoDataset")))
        ),
        train_cfg=dict(max_epochs=4),
        param_scheduler=dict(type="CosineAnnealingLR", T_max=4, eta_min=0.5),
    )
    found = fit_schedule(Recipe("", Config(content)), 400)
    assert (found.epochs, found.steps) == (10, 3000)
    (cosine,) = found.settings["param_scheduler"]
    # The rate is scaled from 16 images to 4, and so is what it falls to.
    assert cosine == dict(type="CosineAnnealingLR", T_max=10, eta_min=0.125)
    content["train_cfg"] = dict(max_iters=90000)
    assert fit_schedule(Recipe("", Config(content)), 400) is None
