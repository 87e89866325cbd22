import math

import pytest
import tiny
import torch
import views
from dense_views import BOXES, SIZES, STRIDES, every_prediction, losses, overlaps, predictions, spec

from tbd.distill import BinaryClassificationDistillation
from tbd.distill.object_regions import find_object_regions
from tbd.registry import MODELS

BCKD = dict(hd=None, tfd=None, bckd=dict(type="tbd.BinaryClassificationDistillation"))


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize(("overlap", "anchors"), [("iou", 1), ("giou", 2)])
def test_losses_against_a_loop_over_predictions_and_classes(overlap, anchors):
    student, teacher = predictions(0, anchors), predictions(1, anchors)
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES)
    cls_loss = box_loss = 0.0
    for level, image, y, x, anchor, index in every_prediction(anchors):
        largest = 0.0
        for channel in (2 * anchor, 2 * anchor + 1):
            p, q = (
                sigmoid(side.cls_logits[level][image, channel, y, x]) for side in (student, teacher)
            )
            cls_loss -= abs(p - q) * (q * math.log(p) + (1 - q) * math.log(1 - p))
            largest = max(largest, abs(p - q))
        pair = [side.boxes[level][image, index].tolist() for side in (student, teacher)]
        box_loss += largest * (1 - overlaps(*pair)[overlap == "giou"])
    positives = sum(level.sum().item() for level in regions.main)
    assert positives > 1
    found = losses(
        BinaryClassificationDistillation(loss_weight=2.0, overlap=overlap),
        student,
        teacher,
        anchors_per_location=(anchors,) * 2,
    )
    assert found["loss_cls"].item() == pytest.approx(2 * cls_loss / positives, rel=1e-6)
    assert found["loss_bbox"].item() == pytest.approx(2 * 4 * box_loss / positives, rel=1e-6)


def test_gradients_against_finite_differences():
    student, teacher = predictions(0), predictions(1)
    logits = student.cls_logits[0].requires_grad_()
    boxes = student.boxes[0].requires_grad_()
    found = losses(BinaryClassificationDistillation(), student, teacher)
    # The weight of a box, a difference of scores, is a constant.
    assert torch.autograd.grad(found["loss_bbox"], [logits], allow_unused=True) == (None,)
    for loss, kind, given in (
        ("loss_bbox", "boxes", boxes),
        ("loss_cls", "cls_logits", logits),
    ):
        (gradient,) = torch.autograd.grad(found[loss], [given], retain_graph=True)
        assert gradient.abs().sum() > 0
        generator = torch.Generator().manual_seed(0)
        step = 1e-6 * torch.randn(given.shape, generator=generator, dtype=given.dtype)
        values = []
        for sign in (1, -1):
            moved = predictions(0)
            getattr(moved, kind)[0] = given.detach() + sign * step
            values.append(losses(BinaryClassificationDistillation(), moved, teacher)[loss])
        expected = 2 * (gradient * step).sum().item()
        assert (values[0] - values[1]).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_objects_is_divided_by_one():
    student, teacher = predictions(0), predictions(1)
    with_objects = losses(BinaryClassificationDistillation(), student, teacher)
    none = [torch.empty(0, 4)] * 3
    without = losses(BinaryClassificationDistillation(), student, teacher, boxes=none)
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES)
    for name, loss in without.items():
        assert loss.item() == pytest.approx(with_objects[name].item() * regions.count().item())


def test_softmax_and_sigmoid_classifiers_are_compared_as_scores():
    student, teacher = predictions(0), predictions(1, background=True)
    found = losses(BinaryClassificationDistillation(), student, teacher)
    as_sigmoid = predictions(1)
    as_sigmoid.cls_logits = [
        torch.logit(level.softmax(dim=1)[:, :2]) for level in teacher.cls_logits
    ]
    as_sigmoid.boxes = teacher.boxes
    expected = losses(BinaryClassificationDistillation(), student, as_sigmoid)
    torch.testing.assert_close(found, expected)


def test_half_precision_gives_float32():
    half = [predictions(seed, dtype=torch.float16) for seed in (0, 1)]
    for side in half:
        side.boxes = [level.float() for level in side.boxes]
    found = losses(BinaryClassificationDistillation(), *half)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in found.values())


def test_other_classes_and_other_anchors_are_refused():
    with pytest.raises(ValueError, match=r"studentHead .* 2 classes .*teacherHead 3.*class_map"):
        BinaryClassificationDistillation().connect(spec("student"), spec("teacher", num_classes=3))
    with pytest.raises(ValueError, match="boxes per location"):
        BinaryClassificationDistillation().connect(
            spec("student"), spec("teacher", anchors_per_location=(3, 3))
        )


@pytest.mark.parametrize("options", [dict(bbox_weight=-1.0), dict(beta=-1.0), dict(overlap="diou")])
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        BinaryClassificationDistillation(**options)


@pytest.mark.parametrize("detector", [tiny.gfl, tiny.retinanet, tiny.fcos, tiny.faster_rcnn])
def test_detectors_learn_from_it(detector):
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(student=detector(), teacher=detector(width=8, channels=16), distill=BCKD)
    )
    model.init_weights()
    found = model(**tiny.batch(model), mode="loss")
    (found["bckd.loss_cls"] + found["bckd.loss_bbox"]).backward()
    assert 0 < found["bckd.loss_cls"] < 1e3
    assert 0 <= found["bckd.loss_bbox"] < 1e3
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.teacher.parameters())
