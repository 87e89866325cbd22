"""Python blocks of the documentation: configs load and build, programs run."""

import re
import shutil
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
import tiny
import torch
from documents import PAGES, ROOT, Block, blocks, modules_of, prose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from torch.nn import Module

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.distill import build_terms, term_types
from tbd.engine import load_config
from tbd.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

CONFIGS = [block for block in blocks("python") if block.is_config]
PROGRAMS = [block for block in blocks("python") if not block.is_config and not block.path]
REGISTRIES = (MODELS, HOOKS, METRICS, DATASETS, TRANSFORMS)
BASES = {"docs/losses.md": "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"}
"""What a part of a model belongs to on these pages; elsewhere it belongs to our first config."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the shipped configs, with every config of the documentation in its place."""
    root = tmp_path_factory.mktemp("documented")
    shutil.copytree(ROOT / "configs", root / "configs")
    for block in CONFIGS:
        path = root / place(block)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(whole(block))
    return root


@pytest.fixture
def there(folder, monkeypatch, block):
    """The folder of configs as the place where a reader of the block's page stands."""
    monkeypatch.chdir(folder)
    with modules_of(block.page, folder):
        yield


def place(block: Block) -> str:
    """Where a reader would put the config, seen from the repository."""
    nested = "in_a_folder/" if "../" in block.text else ""
    return block.path or f"configs/{nested}{Path(block.page).stem}_{block.line}.py"


def whole(block: Block) -> str:
    """A config as it stands, or with the base that a part of a model is to be merged over."""
    if "_base_ =" in block.text or "model = " not in block.text:
        return block.text
    base = BASES.get(block.page)
    return f"_base_ = {base or 'tbd::tbd_retinanet_r101_r50.py'!r}\n{block.text}"


def typed(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every dict with a type of ours in a config, the inner ones first."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from typed(item)
        if str(value.get("type", "")).startswith("tbd."):
            yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from typed(item)


def check_arguments(part: Mapping[str, Any]) -> None:
    """Check that a type of ours exists and takes what the config gives it."""
    if part["type"] in term_types():
        build_terms(dict(term=part))
        return
    arguments = {key: value for key, value in part.items() if key not in ("type", "_delete_")}
    kind = next(filter(None, (registry.get(part["type"]) for registry in REGISTRIES)))
    signature(kind).bind_partial(**arguments)


@pytest.mark.parametrize("block", CONFIGS, ids=str)
def test_configs_load_and_their_parts_take_what_they_are_given(block, there):
    load_config(place(block))
    written = Config.fromfile(place(block), import_custom_modules=False)
    for part in typed(written.to_dict()):
        check_arguments(part)


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in CONFIGS if "model = " in block.text], ids=str)
def test_models_of_configs_build(block, there):
    model = load_config(place(block)).model
    if model.type in WRAPPER_TYPES:
        assert model.teacher_ckpt
        model.update(teacher_ckpt=None, allow_random_teacher=True, probe_size=128)
    built = MODELS.build(model)
    assert all(parameter.isfinite().all() for parameter in built.parameters())


# The terms in the table of methods.md are built by test_methods.py.
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "methods.md"], ids=lambda page: page.name
)
def test_parts_in_the_text_build(page):
    for code in re.findall(r"`(dict\(type=\"tbd\.[^`]*\))`", prose(page)):
        assert isinstance(MODELS.build(eval(code)), Module), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_in_the_text_exist(page):
    for name in re.findall(r"`(tbd(?:\.[a-zA-Z]\w*)+)(?:\([^`]*\))?`", prose(page)):
        registered = any(registry.get(name) for registry in REGISTRIES)
        assert registered or locate(name) is not None, f"{page.name} names {name}, which is not"


@pytest.fixture
def exported_student(tmp_path):
    """The files that a distillation ends with, and an image."""
    (tmp_path / "exported").mkdir()
    model = tiny.retinanet()
    with DefaultScope.overwrite_default_scope("mmdet"):
        student = MODELS.build(model)
    torch.save(dict(state_dict=student.state_dict()), tmp_path / "exported" / "student.pth")
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(64, 64)),
        dict(type="PackDetInputs", meta_keys=("img_shape", "ori_shape", "scale_factor")),
    ]
    content = dict(
        default_scope="mmdet",
        model=model,
        test_dataloader=dict(dataset=dict(type="CocoDataset", pipeline=pipeline)),
    )
    Config(content).dump(str(tmp_path / "exported" / "student.py"))
    Image.new("RGB", (80, 60)).save(tmp_path / "image.jpg")
    return tmp_path


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_programs_run(block, exported_student, monkeypatch):
    monkeypatch.chdir(exported_student)
    with modules_of(block.page, exported_student):
        exec(compile(block.text, str(block), "exec"), {"__name__": "documented"})
