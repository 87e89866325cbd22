import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from tbd.engine import check_data


class GeneratedDataset(CocoDataset):
    generates_data = True


def config(root, dataset_type="CocoDataset", **dataset):
    dataset = dict(type=dataset_type, data_root=f"{root}/", ann_file="annotations/a.json") | dataset
    return Config(
        dict(
            data_root=f"{root}/",
            train_dataloader=dict(dataset=dataset),
            train_evaluator=None,
            val_dataloader=dict(dataset=dataset),
            val_evaluator=[
                dict(type="CocoMetric"),
                dict(type="CocoMetric", ann_file=f"{root}/annotations/b.json"),
            ],
            test_dataloader=None,
            test_evaluator=None,
        )
    )


@pytest.fixture
def root(tmp_path):
    (tmp_path / "annotations").mkdir()
    for name in ("a.json", "b.json"):
        (tmp_path / "annotations" / name).write_text("{}")
    return tmp_path


def test_present_data_passes(root):
    check_data(config(root), ("train", "val", "test"))


def test_a_missing_file_is_named_with_key_place_and_remedy(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        check_data(config(tmp_path), ("train",))
    text = str(error.value)
    assert "train_dataloader.dataset.ann_file" in text
    assert str(tmp_path / "annotations" / "a.json") in text
    assert "data_root=FOLDER" in text
    assert "TBD_DATA" in text


def test_a_missing_coco_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        check_data(config("data/coco"), ("train",))
    text = str(error.value)
    assert str(tmp_path / "data/coco/annotations/a.json") in text
    assert "cocodataset.org" in text
    assert "train2017" in text


def test_a_path_beside_the_data_root_is_not_to_be_moved_by_it(root, monkeypatch):
    monkeypatch.chdir(root)
    cfg = config("cells", ann_file="cells/a.json", data_root="")
    cfg.data_root = "data/coco/"
    with pytest.raises(FileNotFoundError, match=r"/cells/a\.json .* not lie in the config's"):
        check_data(cfg, ("train",))


def test_wrapped_data_sets_are_checked(root):
    cfg = config(root)
    inner = cfg.train_dataloader.dataset
    broken = inner.copy()
    broken["ann_file"] = "annotations/none.json"
    concat = dict(type="ConcatDataset", datasets=[inner, broken])
    cfg.train_dataloader.dataset = dict(type="RepeatDataset", times=2, dataset=concat)
    with pytest.raises(FileNotFoundError, match=r"dataset\.dataset\.datasets\[1\]\.ann_file"):
        check_data(cfg, ("train",))


def test_the_evaluators_file_is_checked(root):
    (root / "annotations/b.json").unlink()
    check_data(config(root), ("train",))
    with pytest.raises(FileNotFoundError, match=r"val_evaluator\[1\]\.ann_file"):
        check_data(config(root), ("train", "val"))


def test_generated_and_remote_data_are_not_looked_for(tmp_path):
    check_data(config(tmp_path, GeneratedDataset), ("train", "val"))
    check_data(config(tmp_path, backend_args=dict(backend="petrel")), ("train",))
