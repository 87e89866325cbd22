import json
from types import SimpleNamespace

import pytest
from mmdet.datasets import CocoDataset
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from tiny import retinanet, wrapper

from tbd.engine import ClassListCheckHook
from tbd.registry import MODELS

CLASSES = ("bar", "square", "tile")


@pytest.fixture(scope="module")
def model():
    register_all_modules()
    return MODELS.build(wrapper(distill=dict()))


def check(model, data, teacher=CLASSES, dataset=None, **options):
    model.teacher_classes = teacher
    metainfo = None if data is None else dict(classes=data)
    if dataset is None:
        dataset = SimpleNamespace(metainfo=metainfo)  # not every data set has a file
    logged = []
    ClassListCheckHook().before_train(
        SimpleNamespace(
            model=model,
            logger=SimpleNamespace(info=logged.append),
            train_dataloader=SimpleNamespace(dataset=dataset),
            cfg=ConfigDict(model=options),
        )
    )
    return logged


@pytest.mark.parametrize("data", [CLASSES, list(CLASSES), None])
@pytest.mark.parametrize("teacher", [CLASSES, None])
def test_agreement_passes(model, data, teacher):
    check(model, data, teacher)


def test_another_order_is_an_error(model):
    with pytest.raises(ValueError, match=r"another order, first at index 1: 'square'.*'tile'"):
        check(model, ("bar", "tile", "square"))


def test_other_names_are_an_error(model):
    with pytest.raises(ValueError, match="only the teacher has 'tile'") as error:
        check(model, ("bar", "square", "disc"))
    text = str(error.value)
    assert "only the data set has 'disc'" in text
    assert "model.teacher_ckpt" in text
    assert "metainfo.classes" in text


@pytest.mark.parametrize(
    ("in_file", "message"),
    [
        (("bar", "tile", "square"), "in another order, first at index 1: 'tile' in the annotat"),
        (
            ("bar", "Square", "tile"),
            "names 'square', .*has 'bar', 'Square', .*mean Square",
        ),
    ],
)
def test_labels_that_mean_other_classes_than_declared_are_an_error(
    model, tmp_path, in_file, message
):
    categories = [dict(id=i, name=name) for i, name in enumerate(in_file)]
    (tmp_path / "a.json").write_text(
        json.dumps(dict(images=[], annotations=[], categories=categories))
    )
    dataset = CocoDataset(
        ann_file="a.json",
        data_root=str(tmp_path),
        metainfo=dict(classes=CLASSES),
        serialize_data=False,
    )
    with pytest.raises(ValueError, match=message) as error:
        check(model, CLASSES, dataset=dataset)
    assert str(tmp_path / "a.json") in str(error.value)


def test_a_number_of_classes_that_is_not_the_students_is_an_error(model):
    with pytest.raises(ValueError, match=r"model\.student.* 3 classes.* 2: 'bar', 'square'"):
        check(model, ("bar", "square"), teacher=None)


def test_long_lists_are_cut(model):
    with pytest.raises(ValueError, match=r"'c4' and 75 more\. Set"):
        check(model, [f"c{i}" for i in range(80)], teacher=None)


def test_another_teacher_can_be_allowed(model):
    check(model, CLASSES, teacher=("cat", "dog"), allow_class_mismatch=True)
    with pytest.raises(ValueError, match="student"):
        check(model, ("bar",), teacher=("cat", "dog"), allow_class_mismatch=True)


def test_classes_that_a_term_compares_must_be_the_same_or_mapped():
    distill = dict(term=dict(type="tbd.BinaryClassificationDistillation"))
    teacher = ("square", "bar", "disc")
    unmapped = MODELS.build(wrapper(distill=distill))
    with pytest.raises(ValueError, match=r"only the teacher has 'disc'.*model\.class_map"):
        check(unmapped, CLASSES, teacher=teacher, allow_class_mismatch=True)
    mapped = MODELS.build(wrapper(distill=distill, class_map={0: 1, 1: 0}))
    logged = check(mapped, CLASSES, teacher=teacher)
    assert logged == [
        "model.class_map: 'bar' of the teacher is 'bar', 'square' of the teacher is 'square'"
    ]


def test_a_plain_detector_needs_no_teacher_and_may_tell_apart_more_classes():
    register_all_modules()
    check(MODELS.build(ConfigDict(retinanet(), _scope_="mmdet")), ("a", "b"), teacher=("c",))


def test_a_plain_detector_of_fewer_classes_is_refused():
    """MMDetection would take the objects of the fourth class for background."""
    register_all_modules()
    detector = MODELS.build(ConfigDict(retinanet(), _scope_="mmdet"))
    with pytest.raises(ValueError, match=r"\(model\) tells apart 3 classes.* has 4: .*learnt as b"):
        check(detector, ("a", "b", "c", "d"))
    panoptic = dict(classes=("a", "b", "c", "sky"), thing_classes=("a", "b", "c"))
    check(detector, None, dataset=SimpleNamespace(metainfo=panoptic))
    detector.language_model = object()
    check(detector, ("a", "b", "c", "d"))
