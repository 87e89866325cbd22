import json
import logging
from types import SimpleNamespace
from typing import ClassVar

import pytest
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from torch import nn

from tbd.engine import ClassCountsHook
from tbd.losses import InfluenceBalancedLoss, SoftmaxFocalLoss, class_balanced_weights

CLASSES = ("bar", "square", "tile")


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_all_modules()


def coco(folder, categories, **options):
    """A data set with one image for each list of categories; negative ones are crowds."""
    annotations = [
        dict(
            id=10 * number + index,
            image_id=number,
            category_id=abs(category),
            bbox=[1, 1, 9, 9],
            area=81,
            iscrowd=int(category < 0),
            segmentation=[],
        )
        for number, image in enumerate(categories)
        for index, category in enumerate(image)
    ]
    images = [
        dict(id=number, file_name=f"{number}.png", width=32, height=32)
        for number in range(len(categories))
    ]
    named = [dict(id=index + 1, name=name) for index, name in enumerate(CLASSES)]
    folder.mkdir(exist_ok=True)
    (folder / "a.json").write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=named))
    )
    return dict(
        type="CocoDataset",
        data_root=str(folder),
        ann_file="a.json",
        data_prefix=dict(img=""),
        metainfo=dict(classes=CLASSES),
        pipeline=[],
        **options,
    )


def run(hook, dataset, *losses):
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    runner = SimpleNamespace(
        model=nn.ModuleList(losses),
        train_dataloader=SimpleNamespace(dataset=dataset),
        logger=logging.getLogger(),
    )
    hook.before_train(runner)


def test_weights_follow_the_annotations(tmp_path, caplog):
    dataset = coco(tmp_path, [[1, 1, 2], [3, -2], [1, 1, 2], []])
    losses = InfluenceBalancedLoss(class_counts="auto"), SoftmaxFocalLoss(2, class_counts="auto")
    given = SoftmaxFocalLoss(2, class_weight=[1, 2, 3, 4])
    with caplog.at_level(logging.INFO):
        run(ClassCountsHook(), dataset, *losses, given)
    # Four bars, two squares besides a crowd, one tile; the background as their mean, 7/3.
    expected = tuple(class_balanced_weights([4, 2, 1, 7 / 3]).tolist())
    assert [loss.class_weight for loss in losses] == [expected] * 2
    assert given.class_weight == (1, 2, 3, 4)
    assert "bar 4" in caplog.text
    assert "background" in caplog.text


def test_counts_are_of_what_an_epoch_shows(tmp_path):
    loss = SoftmaxFocalLoss(2, class_counts="auto")
    both = dict(
        type="ConcatDataset",
        datasets=[
            dict(type="RepeatDataset", times=3, dataset=coco(tmp_path / "one", [[1, 2]])),
            coco(tmp_path / "two", [[3], [], [3, 1]], filter_cfg=dict(filter_empty_gt=True)),
        ],
    )
    run(ClassCountsHook(), both, loss)
    expected = class_balanced_weights([4, 3, 2, 3]).tolist()
    assert loss.class_weight == tuple(expected)


def test_an_empty_class_is_an_error_or_a_choice(tmp_path):
    dataset = coco(tmp_path, [[1, 1, 2]])
    loss = SoftmaxFocalLoss(2, class_counts="auto")
    with pytest.raises(ValueError, match=r"no box of tile; .*min_count"):
        run(ClassCountsHook(), dataset, loss)
    run(ClassCountsHook(min_count=1), dataset, loss)
    assert loss.class_weight == tuple(class_balanced_weights([2, 1, 1, 4 / 3]).tolist())


class Nameless:
    metainfo: ClassVar = {}

    def __len__(self):
        return 1


def test_nothing_is_counted_for_nobody():
    # A data set without classes could not be counted.
    run(ClassCountsHook(), Nameless(), SoftmaxFocalLoss(2))


def test_a_data_set_without_classes_is_named():
    with pytest.raises(ValueError, match="Nameless cannot be counted"):
        run(
            ClassCountsHook(),
            Nameless(),
            SoftmaxFocalLoss(2, class_counts="auto"),
        )
