"""Finding test data; that finished runs are evaluated on it is tested with the comparison."""

import json

import pytest
from mmengine.config import Config
from tiny import retinanet
from tiny_run import CLASSES, config_dict, write_data

from tbd.studies.comparison.other_data import find_test_data, options_for


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
    with pytest.raises(ValueError, match="not in COCO's format"):
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
