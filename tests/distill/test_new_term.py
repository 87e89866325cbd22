"""The recipe of docs/new_term.md, as a user has it: a module outside the package and a config."""

import subprocess
import sys

import pytest
import tiny
import torch
from documents import blocks, modules_of
from mmengine.config import Config
from tiny_run import config_dict, process_environment, write_config, write_data

from tbd.compat import load_checkpoint
from tbd.engine import load_config
from tbd.registry import MODELS

PAGE = "docs/new_term.md"
IMPORTS = dict(imports=["tbd", "attention_transfer"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    with modules_of(PAGE, folder):
        yield folder


@pytest.fixture(scope="module")
def terms(folder):
    """The ``distill`` of the page's last config, all its bases merged."""
    merged = Config()
    for block in blocks("python"):
        if block.page == PAGE and block.is_config:
            content = {}
            exec(block.text, content)
            merged.merge_from_dict(dict(distill=content["model"]["distill"]))
    merged.distill.pop("_delete_", None)
    merged.distill.attention.pop("schedule")
    return merged.distill.to_dict()


def write_run(folder, terms):
    write_data(folder / "data")
    content = config_dict(folder / "data", tiny.wrapper(distill=terms), epochs=2)
    content["custom_imports"] = IMPORTS
    content["optim_wrapper"]["paramwise_cfg"] = dict(
        custom_keys={"distill.attention": dict(lr_mult=0.1)}
    )
    return write_config(folder / "run.py", content)


def attention_by_loops(feat_s, feat_t):
    """Σ over locations of the squared difference of a(x) / ‖a‖, a = Σ_c F_c², mean over images."""
    total = 0.0
    for image_s, image_t in zip(feat_s.double(), feat_t.double(), strict=True):
        maps = []
        for image in (image_s, image_t):
            values = [
                sum(channel[row, column] ** 2 for channel in image)
                for row in range(image.shape[1])
                for column in range(image.shape[2])
            ]
            length = sum(value**2 for value in values) ** 0.5
            maps.append([value / length for value in values])
        total = total + sum((s - t) ** 2 for s, t in zip(*maps, strict=True))
    return total / len(feat_s)


def test_value_and_gradient_are_those_of_the_formula(folder):
    from attention_transfer import attention_transfer_loss

    torch.manual_seed(0)
    feat_s, feat_t = torch.randn(2, 3, 2, 4, requires_grad=True), torch.randn(2, 5, 2, 4)
    loss, expected = attention_transfer_loss(feat_s, feat_t), attention_by_loops(feat_s, feat_t)
    torch.testing.assert_close(loss.double(), expected)
    (gradient,) = torch.autograd.grad(loss, feat_s)
    (expected_gradient,) = torch.autograd.grad(expected, feat_s)
    torch.testing.assert_close(gradient, expected_gradient)


def test_a_config_imports_the_terms_and_a_step_distills(folder, terms, tmp_path):
    config = load_config(write_run(tmp_path, terms))
    model = MODELS.build(config.model)
    model.train()
    assert {"attention", "stage"} <= model.terms.keys()
    losses = model(**tiny.batch(model), mode="loss")
    for name in ("attention", "stage"):
        backbone = model.student.backbone.conv1.weight
        (gradient,) = torch.autograd.grad(
            losses[f"{name}.loss_attention"], backbone, retain_graph=True
        )
        assert gradient.abs().sum() > 0


@pytest.mark.slow
def test_a_training_from_outside_the_package_ends_with_a_plain_student(folder, terms, tmp_path):
    config = write_run(tmp_path, terms)
    environment = process_environment()
    environment["PYTHONPATH"] += f":{folder}"
    trained = subprocess.run(
        [sys.executable, "-m", "tbd", "train", config, "--work-dir", str(tmp_path / "work")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert trained.returncode == 0, trained.stderr[-4000:]
    student = load_checkpoint(tmp_path / "work" / "student.pth")["state_dict"]
    assert not any(key.startswith(("student.", "distill.")) for key in student)
