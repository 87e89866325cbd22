import json
from types import SimpleNamespace

import pytest
import tiny
from mmdet.datasets import CocoDataset, XMLDataset
from mmengine.dataset import ConcatDataset, RepeatDataset

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.classes import (
    checkpoint_classes,
    count_classes,
    dataset_classes,
    describe_difference,
    label_names,
    list_names,
    plain_datasets,
)


def coco(path, categories, declared):
    """A data set of one image with one box of each category, in the order of the file."""
    boxes = [
        dict(id=i, image_id=1, category_id=number, bbox=[0, 0, 9, 9], area=81, iscrowd=0)
        for i, number in enumerate(categories)
    ]
    content = dict(
        images=[dict(id=1, file_name="1.png", height=64, width=64)],
        annotations=boxes,
        categories=[dict(id=number, name=name) for number, name in categories.items()],
    )
    path.write_text(json.dumps(content))
    return CocoDataset(
        ann_file=path.name,
        data_root=str(path.parent),
        data_prefix=dict(img=""),
        metainfo=dict(classes=declared),
    )


@pytest.mark.parametrize(
    ("categories", "declared", "expected"),
    [
        ({1: "cat", 2: "dog"}, ("cat", "dog"), ("cat", "dog")),
        ({1: "cat", 2: "dog"}, ("dog", "cat"), ("cat", "dog")),
        ({7: "cat", 3: "dog"}, ("dog", "cat"), ("cat", "dog")),
        ({1: "cat", 2: "dog", 3: "cow"}, ("cow", "cat"), ("cat", "cow")),
        ({1: "cat", 2: "dog"}, ("cat", "Dog"), ("cat",)),
    ],
)
def test_labels_of_a_coco_file_follow_its_order(tmp_path, categories, declared, expected):
    dataset = coco(tmp_path / "a.json", categories, declared)
    assert dataset_classes(dataset) == tuple(declared)
    assert label_names(dataset) == expected
    # What the labels that a detector is trained with stand for.
    kept = [name for name in categories.values() if name in declared]
    labels = [instance["bbox_label"] for instance in dataset.get_data_info(0)["instances"]]
    assert [label_names(dataset)[label] for label in labels] == kept


def test_labels_of_other_formats_follow_the_declared_list(tmp_path):
    (tmp_path / "train.txt").write_text("")
    dataset = XMLDataset(
        ann_file="train.txt",
        data_root=str(tmp_path),
        metainfo=dict(classes=("dog", "cat")),
        serialize_data=False,
    )
    assert label_names(dataset) == ("dog", "cat")


def test_a_data_set_without_classes_has_none():
    assert dataset_classes(SimpleNamespace(metainfo=None)) is None
    assert label_names(SimpleNamespace()) is None


def test_data_sets_inside_wrappers_are_found(tmp_path):
    first, second = (coco(tmp_path / f"{i}.json", {1: "cat"}, ("cat",)) for i in range(2))
    joined = list(plain_datasets(ConcatDataset([first, second])))
    assert [id(found) for found in joined] == [id(first), id(second)]
    assert list(plain_datasets(RepeatDataset(first, 2))) == [first]
    assert list(plain_datasets(first)) == [first]


@pytest.mark.parametrize("config", [tiny.retinanet(classes=5), tiny.faster_rcnn(classes=5)])
def test_classes_are_counted_in_either_kind(config):
    assert count_classes(build_detector(resolve_model_config(config))) == 5


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (dict(dataset_meta=dict(classes=("a", "b"))), ("a", "b")),
        (dict(CLASSES=["a", "b"]), ("a", "b")),
        (dict(CLASSES="cat"), ("cat",)),
        (dict(dataset_meta=None), None),
        (None, None),
    ],
)
def test_classes_of_a_checkpoint(meta, expected):
    assert checkpoint_classes(dict(meta=meta)) == expected


def test_equal_lists_do_not_differ():
    assert describe_difference(["a", "b"], ("a", "b"), "one", "two") is None


def test_another_order_is_told_from_other_names():
    text = describe_difference(["a", "b", "c"], ["a", "c", "b"], "one", "two")
    assert text == "the same 3 classes in another order, first at index 1: 'b' in one, 'c' in two"
    text = describe_difference(["a", "b"], ["a", "c", "d"], "one", "two")
    assert text == "2 classes in one, 3 in two; only one has 'b', only two has 'c', 'd'"


def test_long_lists_are_cut():
    assert list_names("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"
    assert list_names([]) == "none"


def test_joined_data_sets_of_different_classes_are_refused():
    joined = SimpleNamespace(metainfo=[dict(classes=("a", "b")), dict(classes=("a", "b"))])
    assert dataset_classes(joined) == ("a", "b")
    for other in (dict(classes=("b", "a")), dict(classes=("a",)), {}):
        joined.metainfo[1] = other
        with pytest.raises(ValueError, match=r"different metainfo\.classes, 'a', 'b' and"):
            dataset_classes(joined)
