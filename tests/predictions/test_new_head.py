"""The recipe of docs/new_head.md, run as it is printed there."""

import re
from pathlib import Path

import pytest
import tiny
import torch
from dense_check import assert_modes_agree, box_gradients
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.optim import OptimWrapper

from tbd.predictions import build_adapter
from tbd.registry import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "new_head.md"
STRIDES = (8, 16, 32)


@pytest.fixture(scope="module")
def recipe():
    names = {"__name__": "square_head"}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)

    class TrainedSquareHead(names["SquareHead"]):
        def loss_by_feat(self, logits, sides, *gts_and_metas):
            return dict(loss_cls=sum(level.sigmoid().mean() for level in (*logits, *sides)))

    MMDET_MODELS.register_module(module=TrainedSquareHead)
    yield names
    MMDET_MODELS.module_dict.pop("TrainedSquareHead")


def detector(width, channels):
    head = dict(type="TrainedSquareHead", num_classes=3, in_channels=channels, strides=STRIDES)
    return tiny.retinanet(width, channels) | dict(type="SingleStageDetector", bbox_head=head)


def wrapped(teacher):
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(student=detector(4, 8), teacher=teacher))
    model.init_weights()
    return model.train()


def test_adapter_is_found_by_the_base_class_and_reads_boxes_where_they_are(recipe):
    head = MMDET_MODELS.build(detector(4, 8)["bbox_head"])
    adapter = build_adapter(head)
    assert type(adapter) is recipe["SquareAdapter"]
    sizes = [(4, 6), (2, 3), (1, 2)]
    logits, sides = ([torch.randn(2, channels, *size) for size in sizes] for channels in (3, 1))
    row, column, side = 1, 1, 16 * sides[1][1, 0, 1, 1].exp()
    middle = torch.tensor([(column + 0.5) * 16, (row + 0.5) * 16] * 2)
    expected = middle + torch.tensor([-0.5, -0.5, 0.5, 0.5]) * side
    torch.testing.assert_close(adapter((logits, sides)).boxes[1][1, row * 3 + column], expected)
    _, side_grads = box_gradients(head, (logits, sides))
    assert all((level != 0).all() for level in side_grads)
    assert_modes_agree(head, tuple(torch.randn(2, 8, *size) for size in sizes))


def test_a_step_distills_the_head(recipe):
    model = wrapped(detector(8, 16))
    losses = model(**tiny.batch(model), mode="loss")
    assert losses["hd.loss_harmony"] > 0
    losses["hd.loss_harmony"].backward()
    head = model.student.bbox_head
    assert all(layer.weight.grad.abs().sum() > 0 for layer in (head.classify, head.measure))
    before = head.measure.weight.clone()
    data = tiny.samples()
    batch = {key: [item[key] for item in data] for key in ("inputs", "data_samples")}
    model.train_step(batch, OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))
    assert not torch.equal(before, head.measure.weight)


def test_head_learns_from_a_teacher_of_another_family(recipe):
    model = wrapped(tiny.retinanet(8, 16))
    assert model.terms["hd"].per_location
    assert model(**tiny.batch(model), mode="loss")["hd.loss_harmony"] > 0
