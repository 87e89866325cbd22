"""The configs of our own small sets against the sets; skipped where these are not at hand."""

import json
import os
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from shipped import CONFIGS, ROOT, shipped

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine import load_config

DATA = Path(os.environ.get("TBD_DATA", ROOT.parent / "data")).absolute()
SETS = ("bccd", "nuclei", "aquarium", "hdbpmn", "carla")
OWN = [name for name in CONFIGS if name.split("/")[0] in SETS]


def annotations(name, split):
    path = DATA / name / f"annotations/{split}.json"
    if not path.is_file():
        pytest.skip(f"no {path}; set TBD_DATA to the folder that holds {name}")
    return json.loads(path.read_text())


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", SETS)
def test_labels_are_numbered_in_the_annotations_order(name, split):
    # MMDetection numbers classes by the file's order, whatever metainfo.classes says.
    cfg = load_config(str(ROOT / f"_base_/datasets/{name}.py"))
    content = annotations(name, split)
    loader = cfg[f"{split}_dataloader"]
    assert [category["name"] for category in content["categories"]] == list(
        loader.dataset.metainfo.classes
    )
    assert len(loader.dataset.metainfo.palette) == len(loader.dataset.metainfo.classes)
    with DefaultScope.overwrite_default_scope("mmdet"):
        dataset = DATASETS.build(loader.dataset)
    with_boxes = {box["image_id"] for box in content["annotations"]}
    assert len(dataset) == (len(with_boxes) if split == "train" else len(content["images"]))


@pytest.mark.parametrize("name", SETS)
def test_images_are_seen_at_the_scale_that_the_config_names(name):
    cfg = load_config(str(ROOT / f"_base_/datasets/{name}.py"))
    annotations(name, "val")
    set_random_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        train = DATASETS.build(cfg.train_dataloader.dataset)
        val = DATASETS.build(cfg.val_dataloader.dataset)
    longest = max(cfg.test_pipeline[1].scale)
    assert max(val[0]["data_samples"].img_shape) == longest
    smallest, largest = (max(scale) for scale in cfg.train_pipeline[2].scale)
    assert smallest <= max(train[0]["data_samples"].img_shape) <= largest
    assert smallest < longest < largest


def test_nuclei_come_with_one_mask_a_box():
    cfg = load_config(str(ROOT / "_base_/datasets/nuclei_mask.py"))
    annotations("nuclei", "train")
    # Equal in all but the masks.
    boxes = load_config(str(ROOT / "_base_/datasets/nuclei.py")).train_pipeline
    masks = cfg.train_dataloader.dataset.pipeline
    assert [step for step in masks if "with_mask" not in step] == [
        step for step in boxes if step.type != "LoadAnnotations"
    ]
    set_random_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        sample = DATASETS.build(cfg.train_dataloader.dataset)[0]["data_samples"]
    instances = sample.gt_instances
    assert instances.masks.masks.shape == (len(instances), *sample.img_shape)
    found = instances.masks.get_bboxes(type(instances.bboxes)).tensor
    assert (found - instances.bboxes.tensor).abs().max() <= 2


@pytest.mark.parametrize("name", OWN)
def test_a_pair_agrees_on_classes_anchors_and_levels(name):
    cfg = shipped(name)
    models = [cfg.model]
    if cfg.model.type in WRAPPER_TYPES:
        models = [load_config(cfg.model[key]).model for key in ("student", "teacher")]
    classes = len(cfg.train_dataloader.dataset.metainfo.classes)
    for model in models:
        head = model.roi_head.bbox_head if "roi_head" in model else model.bbox_head
        assert head.num_classes == classes
    generators = [
        (model.rpn_head if "rpn_head" in model else model.bbox_head).anchor_generator
        for model in models
    ]
    assert all(generator == generators[0] for generator in generators)
    for model, generator in zip(models, generators, strict=True):
        assert len(generator.strides) == model.neck.num_outs
