"""Finding test data; that finished runs are evaluated on it is tested with the comparison."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny import retinanet
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.studies.comparison import other_data
from tbd.studies.comparison.other_data import find_test_data, measure_elsewhere, options_for
from tbd.studies.comparison.runs import make_run


@pytest.fixture
def data(tmp_path):
    write_data(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def cfg(tmp_path):
    return Config(config_dict(tmp_path / "training", retinanet()))


def test_a_folder_a_file_and_a_subfolder_are_found(data):
    found = find_test_data(data)
    assert (found.annotations, found.images) == (data / "all.json", data / "images")
    assert found.classes == CLASSES
    assert find_test_data(data / "all.json") == found
    (data / "annotations").mkdir()
    (data / "all.json").rename(data / "annotations" / "val.json")
    moved = find_test_data(data)
    assert (moved.images, moved.digest) == (data / "images", found.digest)
    # Of several, the one called test.
    for name in ("test", "train"):
        (data / "annotations" / f"{name}.json").write_text(moved.annotations.read_text())
    assert find_test_data(data).annotations.name == "test.json"


def test_what_is_no_test_data_is_refused(data, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder with an annotation file"):
        find_test_data(tmp_path / "nowhere")
    (data / "more.json").write_text("{}")
    with pytest.raises(ValueError, match="several annotation files"):
        find_test_data(data)
    for content in ("{}", "[", '{"images": [7], "annotations": [], "categories": []}'):
        (data / "more.json").write_text(content)
        with pytest.raises(ValueError, match=r"not in COCO's format: .*more\.json"):
            find_test_data(data / "more.json")
    (data / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"0\.png of .* is in none of"):
        find_test_data(data / "all.json")


def test_only_data_and_evaluators_change(data, cfg):
    options = options_for(cfg, find_test_data(data))
    dataset = options["test_dataloader.dataset"]
    assert dataset["ann_file"] == str(data / "all.json")
    assert dataset["pipeline"] == cfg.test_dataloader.dataset.pipeline
    assert options["test_evaluator"][0]["ann_file"] == str(data / "all.json")
    assert cfg.test_evaluator.ann_file != str(data / "all.json")


def test_other_classes_are_refused(data, cfg):
    content = json.loads((data / "all.json").read_text())
    content["categories"][0]["name"] = "rod"
    (data / "all.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="has the categories rod, square, tile, the detector"):
        options_for(cfg, find_test_data(data))


def test_classes_in_another_order_are_refused(data, cfg):
    change(data, lambda content: content["categories"].reverse())
    with pytest.raises(ValueError, match="same 3 classes in another order, first at index 0"):
        options_for(cfg, find_test_data(data))


def test_other_images_under_the_same_annotations_are_other_data(data):
    bright = find_test_data(data)
    cv2.imwrite(str(data / "images" / "3.png"), np.zeros((64, 64, 3), np.uint8))
    dark = find_test_data(data)
    assert dark.digest != bright.digest
    assert dark.name != bright.name


def change(data, edit):
    content = json.loads((data / "all.json").read_text())
    edit(content)
    (data / "all.json").write_text(json.dumps(content))


def test_faults_of_the_data_are_named_before_anything_is_evaluated(data):
    (data / "images" / "3.png").unlink()
    with pytest.raises(ValueError, match=r"--test-data .*not there \(first: 3\.png\).*in .*images"):
        find_test_data(data)
    cv2.imwrite(str(data / "images" / "3.png"), np.zeros((64, 64, 3), np.uint8))
    find_test_data(data)
    change(data, lambda content: content["annotations"].clear())
    with pytest.raises(ValueError, match="0 annotations on 8 images and no box"):
        find_test_data(data)


def test_masks_are_only_evaluated_where_there_are_some(data, cfg):
    cfg.test_evaluator.metric = ["bbox", "segm"]
    with pytest.raises(ValueError, match="has annotations without a segmentation"):
        options_for(cfg, find_test_data(data))

    def draw(content):
        for annotation in content["annotations"]:
            annotation["segmentation"] = [[0, 0, 9, 0, 9, 9]]

    change(data, draw)
    options_for(cfg, find_test_data(data))
    rle = {"counts": [4096], "size": [64, 64]}
    change(data, lambda content: content["annotations"][-1].update(segmentation=rle))
    options_for(cfg, find_test_data(data))
    # As good as missing, which pycocotools and MMDetection fail at.
    for empty in ([[]], [[3, 3, 9, 9]], []):
        change(data, lambda content, e=empty: content["annotations"][-1].update(segmentation=e))
        with pytest.raises(ValueError, match="has annotations without a segmentation"):
            options_for(cfg, find_test_data(data))
    cfg.test_evaluator.metric = "bbox"
    options_for(cfg, find_test_data(data))
    cfg.test_dataloader.dataset.pipeline[2].with_mask = True
    with pytest.raises(ValueError, match="has annotations without a segmentation"):
        options_for(cfg, find_test_data(data))


@pytest.mark.parametrize(
    "broken", ['{"data": "', "[]", "{}", "whole without metrics", "of another format"]
)
def test_a_damaged_file_of_metrics_is_measured_again(broken, data, tmp_path, monkeypatch):
    measured = []

    def measure(run, options, folder):
        measured.append(folder)
        return {"ap": 12.5}

    monkeypatch.setattr(other_data, "measure", measure)
    content = config_dict(tmp_path / "training", retinanet())
    run = make_run(write_config(tmp_path / "plain.py", content), 0, tmp_path / "out")
    run.folder.mkdir(parents=True)
    torch.save({"state_dict": {}}, run.folder / "epoch_1.pth")
    (run.folder / "last_checkpoint").write_text("epoch_1.pth")
    found = find_test_data(data)
    assert [measure_elsewhere(run, found) for _ in range(2)] == [{"ap": 12.5}] * 2
    assert len(measured) == 1
    (kept,) = run.folder.glob("metrics_*.json")
    if broken == "whole without metrics":
        broken = json.dumps({**json.loads(kept.read_text()), "metrics": None})
    if broken == "of another format":
        broken = json.dumps({**json.loads(kept.read_text()), "format": 1})
    kept.write_text(broken)
    assert [measure_elsewhere(run, found) for _ in range(2)] == [{"ap": 12.5}] * 2
    assert len(measured) == 2


def test_a_lost_checkpoint_is_named_with_what_brings_it_back(data, tmp_path):
    content = config_dict(tmp_path / "training", retinanet())
    run = make_run(write_config(tmp_path / "plain.py", content), 3, tmp_path / "out")
    run.folder.mkdir(parents=True)
    (run.folder / "last_checkpoint").write_text("epoch_1.pth")
    with pytest.raises(
        FileNotFoundError, match=r"plain, seed 3 cannot be evaluated: .*epoch_1\.pth"
    ):
        measure_elsewhere(run, find_test_data(data))
