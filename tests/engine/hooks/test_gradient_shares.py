import json
import logging
from types import SimpleNamespace

import pytest
import tiny
import torch
from mmengine.dataset import pseudo_collate

from tbd.engine.hooks.gradient_shares import GradientShareHook, gradient_shares
from tbd.registry import MODELS


def train(hook, iterations, start=0):
    """Run a hook on a detector that sees images but is not updated."""
    torch.manual_seed(0)
    distill = dict(pkd=dict(type="tbd.PearsonFeatureDistillation"))
    model = MODELS.build(tiny.wrapper(distill=distill))
    model.init_weights()
    runner = SimpleNamespace(model=model.train(), logger=logging.getLogger("shares"))
    runner.max_iters, runner.iter = iterations, start
    hook.before_train(runner)
    for runner.iter in range(start, iterations):
        hook.before_train_iter(runner, runner.iter)
        batch = model.data_preprocessor(pseudo_collate(tiny.samples()), True)
        model.loss(batch["inputs"], batch["data_samples"])
        hook.after_train_iter(runner, runner.iter)


def test_shares_add_up_to_one_and_are_nothing_where_nothing_pulls():
    assert gradient_shares(dict(student=3.0, a=1.0, b=0.0)) == dict(student=0.75, a=0.25, b=0.0)
    assert gradient_shares(dict(student=0.0, a=0.0)) == dict(student=0.0, a=0.0)


def test_first_middle_and_last_iteration_are_measured_and_logged(tmp_path, caplog):
    path = tmp_path / "norms.json"
    with caplog.at_level(logging.INFO, "shares"):
        train(GradientShareHook(str(path)), 5)
    norms = json.loads(path.read_text())
    assert list(norms) == ["0", "2", "4"]
    pulls = norms["4"]
    share = pulls["pkd"] / (pulls["student"] + pulls["pkd"])
    assert len(caplog.records) == 3
    assert f"student {1 - share:.0%}, pkd {share:.0%}" in caplog.records[-1].getMessage()


def test_what_was_measured_before_an_interruption_is_kept(tmp_path):
    path = tmp_path / "norms.json"
    path.write_text(json.dumps({"0": dict(student=1.0, pkd=2.0)}))
    train(GradientShareHook(str(path)), 5, start=3)
    norms = json.loads(path.read_text())
    assert list(norms) == ["0", "4"]
    assert norms["0"] == dict(student=1.0, pkd=2.0)
    train(GradientShareHook(str(path)), 1)
    assert list(json.loads(path.read_text())) == ["0"]


@pytest.mark.parametrize("moments", [(), (0.5, 1.1), (-0.1,)])
def test_moments_outside_of_the_training_are_refused(moments):
    with pytest.raises(ValueError, match="moments"):
        GradientShareHook(moments=moments)
