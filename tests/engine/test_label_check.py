import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from mmdet.datasets import CocoDataset, VOCDataset
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.dataset import ConcatDataset, RepeatDataset
from PIL import Image
from tiny import wrapper
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.engine import evaluate, train
from tbd.engine.label_check import check_labels, check_metrics, other_datasets

PERMUTED = ("tile", "square", "bar")


def write_categories(path, names):
    boxes = [
        dict(id=i, image_id=1, category_id=i, bbox=[0, 0, 9, 9], area=81, iscrowd=0)
        for i in range(len(names))
    ]
    content = dict(
        images=[dict(id=1, file_name="1.png", height=64, width=64)],
        annotations=boxes,
        categories=[dict(id=i, name=name) for i, name in enumerate(names)],
    )
    path.write_text(json.dumps(content))
    return path


def coco(path, names, declared=CLASSES):
    write_categories(path, names)
    return CocoDataset(
        ann_file=str(path), data_prefix=dict(img=""), metainfo=dict(classes=declared)
    )


def voc(root, names, declared):
    """One image per name, with a box of it."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    (root / "train.txt").write_text("\n".join(map(str, range(len(names)))))
    for index, name in enumerate(names):
        Image.new("RGB", (64, 64)).save(root / "JPEGImages" / f"{index}.jpg")
        tree = ElementTree.Element("annotation")
        size = ElementTree.SubElement(tree, "size")
        for key in ("width", "height"):
            ElementTree.SubElement(size, key).text = "64"
        box = ElementTree.SubElement(tree, "object")
        ElementTree.SubElement(box, "name").text = name
        corners = ElementTree.SubElement(box, "bndbox")
        for key, value in dict(xmin=5, ymin=5, xmax=30, ymax=30).items():
            ElementTree.SubElement(corners, key).text = str(value)
        ElementTree.ElementTree(tree).write(root / "Annotations" / f"{index}.xml")
    return VOCDataset(
        ann_file="train.txt",
        data_root=str(root),
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=declared),
    )


@pytest.mark.openmmlab
def test_sets_of_the_right_classes_pass(tmp_path):
    first, second = coco(tmp_path / "a.json", CLASSES), coco(tmp_path / "b.json", CLASSES)
    check_labels(ConcatDataset([first, second]), "key", CLASSES)
    check_labels(RepeatDataset(first, 2), "key", CLASSES)
    check_labels(voc(tmp_path / "voc", CLASSES, CLASSES), "key", CLASSES)


def test_categories_that_nobody_names_are_left_out_on_purpose(tmp_path):
    check_labels(coco(tmp_path / "a.json", ("bar", "extra", "square", "tile")), "key", CLASSES)
    check_labels(voc(tmp_path / "voc", ("bar", "extra"), ("bar",)), "key", ("bar",))


def test_the_second_part_of_a_joined_set_is_looked_at(tmp_path):
    parts = [coco(tmp_path / "a.json", CLASSES), coco(tmp_path / "b.json", PERMUTED)]
    with pytest.raises(ValueError, match=r"labels of key do not mean.*index 0: 'tile'.*b\.json"):
        check_labels(ConcatDataset(parts), "key", CLASSES)


def test_another_list_of_classes_than_the_trainings_is_an_error(tmp_path):
    dataset = coco(tmp_path / "a.json", PERMUTED, PERMUTED)
    with pytest.raises(ValueError, match=r"val\.metainfo\.classes and train_dataloader"):
        check_labels(dataset, "val", CLASSES)


def test_a_name_that_the_file_lacks_is_named_with_the_nearest(tmp_path):
    dataset = coco(tmp_path / "a.json", ("bar", "square", "tile"), ("bar", "Square", "tile"))
    with pytest.raises(ValueError, match=r"names 'Square'.*'bar', 'square'.*did you mean square"):
        check_labels(dataset, "key", ("bar", "Square", "tile"))


@pytest.mark.openmmlab
def test_a_name_that_no_xml_file_has_is_named_with_the_nearest(tmp_path):
    declared = ("bar", "Square")
    dataset = voc(tmp_path / "voc", ("bar", "square"), declared)
    with pytest.raises(ValueError, match=r"names 'Square'.*name 'square'.*did you mean square"):
        check_labels(dataset, "key", declared)


def test_a_class_without_boxes_is_no_error_where_no_other_name_stands_for_it(tmp_path):
    check_labels(voc(tmp_path / "voc", ("bar",), ("bar", "tile")), "key", ("bar", "tile"))


def test_the_evaluators_file_is_held_against_the_classes(tmp_path):
    file = str(write_categories(tmp_path / "a.json", PERMUTED))
    with pytest.raises(ValueError, match=r"labels of val_evaluator\[0\] do not mean"):
        check_metrics([dict(type="CocoMetric", ann_file=file)], "val_evaluator", CLASSES)
    file = str(write_categories(tmp_path / "b.json", ("bar", "tile")))
    with pytest.raises(ValueError, match=r"names 'square', which no category of .*b\.json"):
        check_metrics(dict(type="CocoMetric", ann_file=file), "val_evaluator", CLASSES)


@pytest.fixture
def content(tmp_path):
    write_data(tmp_path / "data")
    return config_dict(tmp_path / "data", wrapper(), epochs=1)


def permute(tmp_path):
    annotations = json.loads((tmp_path / "data/all.json").read_text())
    annotations["categories"].reverse()
    (tmp_path / "data/permuted.json").write_text(json.dumps(annotations))


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_training_looks_at_the_other_sets_before_its_first_step(content, tmp_path, split):
    permute(tmp_path)
    content[f"{split}_dataloader"]["dataset"]["ann_file"] = "permuted.json"
    config = write_config(tmp_path / "run.py", content)
    with pytest.raises(ValueError, match=rf"labels of {split}_dataloader\.dataset do not mean"):
        train(config, str(tmp_path / "work"))
    assert not list((tmp_path / "work").glob("*.pth"))


def test_so_does_an_evaluation(content, tmp_path):
    permute(tmp_path)
    train(write_config(tmp_path / "run.py", content), str(tmp_path / "work"))
    content["test_dataloader"]["dataset"]["ann_file"] = "permuted.json"
    config = write_config(tmp_path / "test.py", content)
    with pytest.raises(ValueError, match=r"labels of test_dataloader\.dataset do not mean"):
        evaluate(config, str(tmp_path / "work/student.pth"), str(tmp_path / "test"))


def test_test_data_that_are_not_there_are_not_asked_for(tmp_path):
    register_all_modules()
    dataset = dict(type="CocoDataset", ann_file=str(tmp_path / "none.json"))
    runner = SimpleNamespace(cfg=ConfigDict(test_dataloader=dict(dataset=dataset)))
    assert list(other_datasets(runner)) == []
