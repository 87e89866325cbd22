"""Every shipped config; tests/studies/pairs/test_trial.py trains the distillations among them."""

from collections import Counter
from functools import cache
from pathlib import Path

import mmdet
import pytest
import yaml
from mmdet.registry import HOOKS, METRICS, TRANSFORMS
from mmengine.registry import DefaultScope
from shipped import CONFIGS, ROOT, distillations, shipped

from tbd.detectors.weights import without_pretrained
from tbd.registry import MODELS

MIM = Path(mmdet.__file__).parent / ".mim"
COCO = [name for name in CONFIGS if shipped(name).get("data_root") == "data/coco/"]
TBD = [name for name in COCO if Path(name).name.startswith("tbd_")]
SMALL = sorted({*CONFIGS} - {*COCO})
DISTILLATIONS = distillations()
START = "tbd_retinanet_r101_r50.py"
"""The config that everyone starts with; its method's others lie in a folder."""


def pair(name):
    """Name of a config of COCO without its method."""
    return Path(name).stem.partition("_")[2]


PAIRS = {pair(name): name for name in TBD}


@cache
def model_zoo():
    """Checkpoints of each config in the installed distribution's metadata, by its path."""
    index = yaml.safe_load((MIM / "model-index.yml").read_text())
    checkpoints = {}
    for metafile in index["Import"]:
        for model in yaml.safe_load((MIM / metafile).read_text())["Models"]:
            if {"Config", "Weights"} <= model.keys():
                urls = model["Weights"]
                listed = checkpoints.setdefault(model["Config"].removeprefix("configs/"), [])
                listed.extend([urls] if isinstance(urls, str) else urls)
    return checkpoints


def transforms(dataset):
    """Transforms of a data set and of those inside it."""
    yield from dataset.get("pipeline", ())
    for inner in (dataset.get("dataset"), *(dataset.get("datasets") or ())):
        if inner:
            yield from transforms(inner)


def test_there_are_configs():
    assert START in COCO
    assert {Path(name).parent.name for name in COCO} >= {"tbd", "pkd"}
    assert {Path(name).parent.name for name in SMALL} >= {"shapes", "bccd", "coco_mini"}


def test_no_two_configs_share_a_name_and_with_it_a_work_directory():
    names = Counter(Path(name).stem for name in CONFIGS)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("name", sorted({*COCO} - {START}))
def test_a_distillation_on_coco_lies_in_the_folder_of_its_method(name):
    folder, file = Path(name).parts
    assert file.startswith(f"{folder}_")


@pytest.mark.parametrize("name", [name for name in COCO if pair(name) in PAIRS and name not in TBD])
def test_another_method_on_a_pair_changes_the_terms_alone(name):
    tbd, method = shipped(PAIRS[pair(name)]).to_dict(), shipped(name).to_dict()
    assert not tbd["model"].pop("distill").keys() & method["model"].pop("distill").keys()
    for key in ("model", "train_dataloader", "val_dataloader", "train_cfg", "param_scheduler"):
        assert method[key] == tbd[key]


@pytest.mark.parametrize("name", CONFIGS)
def test_parts_of_the_run_exist(name):
    cfg = shipped(name)
    for hook in (*cfg.default_hooks.values(), *(cfg.get("custom_hooks") or ())):
        assert HOOKS.get(hook.type) is not None
    evaluators = cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]
    for metric in evaluators:
        assert METRICS.get(metric.type) is not None
    with DefaultScope.overwrite_default_scope("mmdet"):
        for transform in transforms(cfg.train_dataloader.dataset):
            TRANSFORMS.build(dict(transform))


@pytest.mark.parametrize("name", sorted({*SMALL} - {*DISTILLATIONS}))
def test_plain_models_build(name):
    built = MODELS.build(without_pretrained(shipped(name).model))
    assert sum(parameter.numel() for parameter in built.parameters()) > 0


@pytest.mark.parametrize("name", CONFIGS)
def test_config_says_what_it_trains_and_needs(name):
    documentation = (ROOT / name).read_text().split('"""')[1]
    assert "needs" in documentation.lower()


@pytest.mark.parametrize("name", DISTILLATIONS)
def test_a_distillation_takes_few_lines_and_names_its_teachers_checkpoint(name):
    lines = (ROOT / name).read_text().split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) < 18
    model = shipped(name).model
    assert (model.teacher is None) == ("foundation" in model.distill)
    assert model.teacher is None or model.teacher_ckpt


@pytest.mark.parametrize("name", [name for name in TBD if "yolo" in Path(name).name])
def test_class_scores_that_learn_at_objects_alone_count_with_their_objectness(name):
    assert {term.confidence for term in shipped(name).model.distill.values()} == {"ranking"}


@pytest.mark.parametrize("name", COCO)
def test_a_distillation_keeps_an_older_checkpoint_to_resume_from(name):
    assert shipped(name).default_hooks.checkpoint.max_keep_ckpts > 1


@pytest.mark.parametrize("name", COCO)
def test_the_learning_rate_is_for_the_batch_that_the_text_says(name):
    batch = shipped(name).train_dataloader.batch_size
    assert shipped(name).auto_scale_lr.base_batch_size == 8 * batch
    text = " ".join((ROOT / name).read_text().split('"""')[1].split())
    assert f"learning rate is for 8 GPUs × {batch} images" in text


@pytest.mark.openmmlab
def test_the_model_zoo_is_read():
    assert len(model_zoo()) > 400
    (url,) = model_zoo()["retinanet/retinanet_r101_fpn_2x_coco.py"]
    assert url.endswith("/retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth")


@pytest.mark.openmmlab
@pytest.mark.parametrize("name", [name for name in COCO if shipped(name).model.teacher])
def test_teacher_and_checkpoint_are_one_entry_of_the_model_zoo(name):
    model = shipped(name).model
    package, _, config = model.teacher.partition("::")
    assert package == "mmdet"
    assert config in model_zoo(), f"the model zoo has no checkpoint of {config}"
    assert model.teacher_ckpt in model_zoo()[config]
