import math

import pytest
import tiny
import torch
import views
from dense_views import BOXES, SIZES, STRIDES, every_prediction, losses, overlaps, predictions, spec

from tbd.distill import QualityAlignedDistillation, relative_quality
from tbd.distill.object_regions import find_object_regions
from tbd.registry import MODELS

QAD = dict(hd=None, tfd=None, qad=dict(type="tbd.QualityAlignedDistillation"))


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def best_iou(box, image):
    return max((overlaps(box, gt)[0] for gt in BOXES[image].tolist()), default=0.0)


def expected_losses(student, teacher, anchors, beta, gamma, overlap):
    """L_cls without its divisor, L_bbox and the mean quality, prediction by prediction."""
    cls_loss = box_loss = weights = qualities = 0.0
    for level, image, y, x, anchor, index in every_prediction(anchors):
        boxes = [side.boxes[level][image, index].tolist() for side in (student, teacher)]
        iou_s, iou_t = (best_iou(box, image) for box in boxes)
        quality = min(iou_s / iou_t, 1.0) if iou_t > 0 else 1.0
        scores = []
        for channel in (2 * anchor, 2 * anchor + 1):
            p, p_t = (
                sigmoid(side.cls_logits[level][image, channel, y, x]) for side in (student, teacher)
            )
            q = p_t * quality**gamma
            cls_loss -= abs(p - q) ** beta * (q * math.log(p) + (1 - q) * math.log(1 - p))
            scores.append(p_t)
        weight = iou_t * max(scores)
        weights += weight
        qualities += weight * quality
        box_loss += weight * (1 - overlaps(*boxes)[overlap == "giou"])
    return cls_loss, box_loss / weights, qualities / weights


@pytest.mark.parametrize(
    ("anchors", "beta", "gamma", "overlap"), [(1, 1.0, 1.0, "giou"), (2, 2.0, 0.5, "iou")]
)
def test_losses_against_a_loop_over_predictions_and_classes(anchors, beta, gamma, overlap):
    student, teacher = predictions(0, anchors), predictions(1, anchors)
    term = QualityAlignedDistillation(2.0, 3.0, beta, gamma, overlap)
    found = losses(term, student, teacher, anchors_per_location=(anchors,) * 2)
    cls_loss, box_loss, quality = expected_losses(student, teacher, anchors, beta, gamma, overlap)
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES)
    assert regions.count() > 1
    assert found["loss_cls"].item() == pytest.approx(2 * cls_loss / regions.count().item())
    assert found["loss_bbox"].item() == pytest.approx(2 * 3 * box_loss)
    assert found["box_quality"].item() == pytest.approx(quality)


def test_each_loss_has_a_gradient_for_its_own_task_alone():
    student, teacher = predictions(0), predictions(1)
    logits = student.cls_logits[0].requires_grad_()
    boxes = student.boxes[0].requires_grad_()
    found = losses(QualityAlignedDistillation(), student, teacher)
    for loss, own, other in (("loss_cls", logits, boxes), ("loss_bbox", boxes, logits)):
        tensors = [own, other]
        gradient, none = torch.autograd.grad(
            found[loss], tensors, retain_graph=True, allow_unused=True
        )
        assert none is None
        assert gradient.abs().sum() > 0
    for loss, levels in (("loss_cls", student.cls_logits), ("loss_bbox", student.boxes)):
        own = levels[0]
        (gradient,) = torch.autograd.grad(found[loss], [own])
        # By the loop over predictions that the losses are held against.
        step = 1e-6 * torch.randn_like(own)
        values = []
        for sign in (1, -1):
            levels[0] = own.detach() + sign * step
            cls_loss, box_loss, _ = expected_losses(student, teacher, 1, 1.0, 1.0, "giou")
            regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES)
            by_loop = dict(loss_cls=cls_loss / regions.count().item(), loss_bbox=3 * box_loss)
            values.append(2 * by_loop[loss])
        levels[0] = own
        expected = 2 * (gradient * step).sum().item()
        assert values[0] - values[1] == pytest.approx(expected, rel=1e-4), loss


def test_a_better_box_raises_no_score():
    ious = torch.tensor([0.4, 0.8, 0.0, 0.3]), torch.tensor([0.8, 0.4, 0.5, 0.0])
    assert relative_quality(*ious).tolist() == [0.5, 1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="iou_t"):
        relative_quality(ious[0], ious[1][:2])


def test_a_student_like_its_teacher_has_nothing_to_learn():
    # Of objects that the boxes fit, so that every score is deserved.
    same = predictions(1)
    found = losses(QualityAlignedDistillation(), same, predictions(1))
    assert found["loss_cls"].item() == pytest.approx(0, abs=1e-9)
    assert found["loss_bbox"].item() == pytest.approx(0, abs=1e-9)
    assert found["box_quality"].item() == pytest.approx(1)


def test_a_batch_without_objects_teaches_scores_alone():
    none = [torch.empty(0, 4)] * 3
    found = losses(QualityAlignedDistillation(), predictions(0), predictions(1), boxes=none)
    assert found["loss_bbox"] == 0
    assert found["loss_cls"] > 0
    assert all(value.isfinite() for value in found.values())


def test_half_precision_gives_float32():
    half = [predictions(seed, dtype=torch.float16) for seed in (0, 1)]
    for side in half:
        side.boxes = [level.float() for level in side.boxes]
    found = losses(QualityAlignedDistillation(), *half)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in found.values())


def test_other_classes_and_other_anchors_are_refused():
    with pytest.raises(ValueError, match=r"studentHead .* 2 classes .*teacherHead 3.*class_map"):
        QualityAlignedDistillation().connect(spec("student"), spec("teacher", num_classes=3))
    with pytest.raises(ValueError, match="boxes per location"):
        QualityAlignedDistillation().connect(
            spec("student"), spec("teacher", anchors_per_location=(3, 3))
        )


@pytest.mark.parametrize(
    "options", [dict(bbox_weight=-1.0), dict(beta=-1.0), dict(gamma=-0.5), dict(overlap="diou")]
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        QualityAlignedDistillation(**options)


@pytest.mark.parametrize("detector", [tiny.gfl, tiny.retinanet, tiny.fcos, tiny.faster_rcnn])
def test_detectors_learn_from_it(detector):
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(student=detector(), teacher=detector(width=8, channels=16), distill=QAD)
    )
    model.init_weights()
    found = model(**tiny.batch(model), mode="loss")
    (found["qad.loss_cls"] + found["qad.loss_bbox"]).backward()
    assert 0 < found["qad.loss_cls"] < 1e3
    assert 0 <= found["qad.loss_bbox"] < 1e3
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.teacher.parameters())
