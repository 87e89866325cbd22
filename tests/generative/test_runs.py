"""Training, resuming and evaluating from the shipped configs, as the tools do."""

import json
import subprocess
import sys

import pytest
import torch
from tiny_images import write_tiny_config
from tiny_run import ROOT, free_port, process_environment

from tbd.compat import load_checkpoint
from tbd.engine import evaluate, train
from tbd.generative import ImageClassifier

SMALL_GAN = {
    "model.generator.channels": 8,
    "model.generator.hidden_size": 16,
    "model.discriminator.channels": (4, 6),
}


@pytest.fixture
def classifier(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "classifier.pth"
    torch.save({"state_dict": ImageClassifier().state_dict()}, path)
    return str(path)


def options(name, classifier):
    if "gan" not in name:
        return {}
    judged = {"val_evaluator.0.classifier_ckpt": classifier}
    judged["test_evaluator.0.classifier_ckpt"] = classifier
    return judged | (SMALL_GAN if name.startswith("dcgan") else {})


def assert_equal_states(one, two):
    """Weights, noise and optimizers of two checkpoints are equal bit by bit."""
    one, two = load_checkpoint(one), load_checkpoint(two)
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for key, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][key]), key

    def compare(a, b, key=""):
        if isinstance(a, dict):
            assert a.keys() == b.keys(), key
            for name in a:
                compare(a[name], b[name], f"{key}.{name}")
        elif isinstance(a, list | tuple):
            for index, pair in enumerate(zip(a, b, strict=True)):
                compare(*pair, f"{key}.{index}")
        elif isinstance(a, torch.Tensor):
            assert torch.equal(a, b), key
        else:
            assert a == b, key

    compare(one["optimizer"], two["optimizer"])


@pytest.mark.parametrize("name", ["vae_digits", "dcgan_digits"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(name, classifier, tmp_path):
    settings = options(name, classifier)
    whole = write_tiny_config(tmp_path / "whole.py", name, 3, **settings)
    train(whole, str(tmp_path / "whole"))
    short = write_tiny_config(tmp_path / "short.py", name, 2, **settings)
    train(short, str(tmp_path / "resumed"))
    train(whole, str(tmp_path / "resumed"), resume="auto")
    assert_equal_states(tmp_path / "whole/epoch_3.pth", tmp_path / "resumed/epoch_3.pth")
    # 20 training images in batches of 5.
    assert load_checkpoint(tmp_path / "whole/epoch_3.pth")["state_dict"]["noise.draws"] == 12


@pytest.mark.parametrize(
    ("name", "values", "logged", "pictures"),
    [
        (
            "autoencoder_digits",
            {"code/reconstruction_error", "code/probe_accuracy"},
            {"loss_reconstruction"},
            {"reconstructions", "codes"},
        ),
        (
            "conv_autoencoder_digits",
            {"code/reconstruction_error", "code/probe_accuracy"},
            {"loss_reconstruction"},
            {"reconstructions"},
        ),
        (
            "vae_digits",
            {"code/reconstruction_error", "code/probe_accuracy", "code/kl", "code/elbo"},
            {"loss_reconstruction", "loss_kl"},
            {"reconstructions", "samples", "interpolation"},
        ),
        (
            "lsgan_digits",
            {
                "generation/entropy_score",
                "generation/real_entropy_score",
                "generation/frechet_distance",
                "generation/real_frechet_distance",
                "generation/classifier_accuracy",
            },
            {"loss_discriminator", "loss_generator", "real_recognised", "fake_recognised"},
            {"samples"},
        ),
        ("classifier_digits", {"class/accuracy"}, {"loss_classification"}, set()),
    ],
)
def test_a_run_logs_draws_and_evaluates(name, values, logged, pictures, classifier, tmp_path):
    # Runs of one name that begin within a second would share MMEngine's visualizer.
    config = write_tiny_config(
        tmp_path / f"{name}.py",
        name,
        1,
        **options(name, classifier),
        **{"default_hooks.logger.interval": 2},
    )
    train(config, str(tmp_path / "work"))
    lines = next((tmp_path / "work").glob("*/vis_data/scalars.json")).read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert logged <= records[0].keys()
    assert values <= records[-1].keys()
    written = {path.name for path in (tmp_path / "work").rglob("*.png")}
    assert written == {f"{picture}_1.png" for picture in pictures}
    found = evaluate(
        config, str(tmp_path / "work/epoch_1.pth"), str(tmp_path / "test"), show_dir="shown"
    )
    assert found == pytest.approx({key: records[-1][key] for key in values})
    shown = {path.stem for path in (tmp_path / "test").rglob("shown/*.png")}
    assert shown == pictures


def test_a_missing_classifier_stops_the_run_before_it_trains(tmp_path):
    config = write_tiny_config(
        tmp_path / "run.py", "gan_digits", 1, **options("gan", str(tmp_path / "none.pth"))
    )
    with pytest.raises(FileNotFoundError, match=r"classifier_ckpt.*tools/train\.py"):
        train(config, str(tmp_path / "work"))
    assert not list((tmp_path / "work").rglob("*.pth"))


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import tiny_images
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from tbd.engine import evaluate, train

@HOOKS.register_module()
class Report(Hook):
    def after_train(self, runner):
        from mmengine.runner.checkpoint import get_state_dict
        torch.save(get_state_dict(runner.model), f"{{runner.work_dir}}/rank_{{get_rank()}}.pth")

kind, config, *arguments = sys.argv[1:]
if kind == "train":
    work_dir, *resume = arguments
    train(config, work_dir, resume=resume[0] if resume else None, launcher="pytorch")
else:
    result = evaluate(config, *arguments, launcher="pytorch")
    if get_rank() == 0:
        torch.save(result, arguments[1] + "/result.pth")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae_digits", "dcgan_digits"])
def test_two_processes_train_one_model(name, classifier, tmp_path):
    config = write_tiny_config(
        tmp_path / "run.py",
        name,
        2,
        custom_hooks=[dict(type="Report")],
        **options(name, classifier),
    )
    script, work = tmp_path / "script.py", tmp_path / "work"
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests")))
    longer = write_tiny_config(
        tmp_path / "longer.py",
        name,
        3,
        custom_hooks=[dict(type="Report")],
        **options(name, classifier),
    )
    for arguments in (
        ("train", config, str(work)),
        ("train", longer, str(work), "auto"),
        ("evaluate", config, str(work / "epoch_3.pth"), str(work)),
    ):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
        result = subprocess.run(
            [*launcher, f"--master_port={free_port()}", str(script), *arguments],
            env=process_environment(CUDA_VISIBLE_DEVICES=""),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert result.returncode == 0, result.stderr[-6000:]
    first, second = (torch.load(work / f"rank_{rank}.pth") for rank in (0, 1))
    # 20 images, 2 processes, batches of 5: two steps an epoch, the last one after resuming.
    assert first["noise.draws"] == second["noise.draws"] == 6
    differing = {key for key in first if not torch.equal(first[key], second[key])}
    # Each process normalises its own share of the batch.
    assert all("running_" in key for key in differing)
    saved = load_checkpoint(work / "epoch_3.pth")["state_dict"]
    assert saved.keys() == first.keys()

    alone = tmp_path / "alone.py"
    write_tiny_config(alone, name, 2, **options(name, classifier))
    found = torch.load(work / "result.pth")
    assert found == pytest.approx(
        evaluate(str(alone), str(work / "epoch_3.pth"), str(tmp_path / "alone")), rel=1e-4
    )
