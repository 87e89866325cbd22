import pytest
from mmengine.config import Config

from tbd.engine import load_config, move_data_root

TEXT = """
data_root = "data/coco/"
model = dict(type="RetinaNet", teacher_ckpt="data/coco_teacher.pth")
train_dataloader = dict(
    dataset=dict(
        type="RepeatDataset",
        dataset=dict(type="CocoDataset", data_root=data_root, ann_file="annotations/train.json"),
    ),
    transforms=[dict(type="Mosaic", img_dir="data/coco/train2017")],
    folders=("data/coco", "data/other"),
)
val_evaluator = dict(type="CocoMetric", ann_file=data_root + "annotations/val.json")
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "config.py"
    file.write_text(TEXT)
    return str(file)


@pytest.mark.parametrize("new_root", ["/elsewhere/mini", "/elsewhere/mini/"])
def test_data_root_moves_all_paths_under_the_old_one(path, new_root):
    cfg = load_config(path, {"data_root": new_root, "model.type": "FCOS"})
    assert cfg.data_root == "/elsewhere/mini/"
    assert cfg.train_dataloader.dataset.dataset.data_root == "/elsewhere/mini/"
    assert cfg.train_dataloader.dataset.dataset.ann_file == "annotations/train.json"
    assert cfg.train_dataloader.transforms[0].img_dir == "/elsewhere/mini/train2017"
    assert tuple(cfg.train_dataloader.folders) == ("/elsewhere/mini", "data/other")
    assert cfg.val_evaluator.ann_file == "/elsewhere/mini/annotations/val.json"
    assert cfg.model.type == "FCOS"


def test_data_root_leaves_paths_that_only_begin_alike(path):
    cfg = load_config(path, {"data_root": "/elsewhere/mini"})
    assert cfg.model.teacher_ckpt == "data/coco_teacher.pth"


def test_other_options_are_applied_after_the_data_root(path):
    key = "val_evaluator.ann_file"
    cfg = load_config(path, {key: "data/coco/own.json", "data_root": "/mini"})
    assert cfg.val_evaluator.ann_file == "data/coco/own.json"


def test_an_option_that_fits_nowhere_is_named(path):
    message = r"train_dataloader\.transforms\.3\.prob=5 cannot be merged into .*: .*Correct the key"
    with pytest.raises(ValueError, match=message):
        load_config(path, {"train_dataloader.transforms.3.prob": 5})


def test_a_data_root_that_moves_nothing_is_an_error():
    data = dict(dataset=dict(ann_file="data/cells/train.json"))
    cfg = Config(dict(data_root="data/coco/", train_dataloader=data))
    with pytest.raises(ValueError, match=r"would move nothing: .* under its data_root='data/coco'"):
        move_data_root(cfg, "/mini")


def test_data_root_without_one_in_the_config_is_an_error():
    with pytest.raises(ValueError, match=r"data_root='/mini'.*data_root=None"):
        move_data_root(Config(dict(model=dict(type="RetinaNet"))), "/mini")


def test_the_config_of_a_package_can_be_loaded():
    cfg = load_config("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", {"data_root": "/mini"})
    assert cfg.test_evaluator.ann_file == "/mini/annotations/instances_val2017.json"


def test_a_missing_config_is_reported_with_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "no.py")):
        load_config("no.py")


def test_a_config_that_a_package_does_not_ship_is_named():
    with pytest.raises(
        FileNotFoundError, match=r"mmdet ships no config 'atss/none\.py' \(.*configs"
    ):
        load_config("mmdet::atss/none.py")
    with pytest.raises(FileNotFoundError, match="tbd ships no such config"):
        load_config("tbd::none.py")
