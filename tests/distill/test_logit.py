import math

import pytest
import tiny
import torch
import views
from dense_views import BOXES, SIZES, STRIDES, every_prediction, losses, predictions, spec

from tbd.distill import LogitDistillation, sigmoid_distillation_loss, softmax_distillation_loss
from tbd.distill.object_regions import find_object_regions
from tbd.registry import MODELS


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def softmax(row, temperature):
    exponentials = [math.exp(value / temperature) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def row_loss(kind, s, t, temperature, beta):
    """Loss of one prediction, from its definition."""
    if kind == "softmax":
        p, q = softmax(s, temperature), softmax(t, temperature)
        return temperature**2 * sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    total = 0.0
    for a, b in zip(s, t, strict=True):
        p, q = sigmoid(a / temperature), sigmoid(b / temperature)
        entropy = -q * math.log(p) - (1 - q) * math.log(1 - p)
        total += entropy * (abs(p - q) ** beta if kind == "quality_focal" else temperature**2)
    return total


@pytest.mark.parametrize(
    ("options", "background"),
    [
        (dict(kind="quality_focal", beta=2.0), False),
        (dict(kind="sigmoid", temperature=3.0), False),
        (dict(kind="softmax", temperature=2.0), False),
        (dict(kind="softmax", temperature=2.0), True),
    ],
)
@pytest.mark.parametrize("region", ["all", "objects"])
def test_loss_against_a_loop_over_predictions(options, background, region):
    student, teacher = (predictions(seed, 2, background=background) for seed in (0, 1))
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES)
    width = 2 + background
    expected = 0.0
    for level, image, y, x, anchor, _ in every_prediction(2):
        if region == "objects" and not regions.main[level][image, y, x]:
            continue
        channels = slice(anchor * width, (anchor + 1) * width)
        rows = [
            side.cls_logits[level][image, channels, y, x].tolist() for side in (student, teacher)
        ]
        settings = dict(temperature=1.0, beta=1.0) | options
        expected += row_loss(
            options["kind"], *rows, temperature=settings["temperature"], beta=settings["beta"]
        )
    found = losses(
        LogitDistillation(loss_weight=3.0, region=region, **options),
        student,
        teacher,
        anchors_per_location=(2, 2),
        background=background,
    )
    expected *= 3 / regions.count().item()
    assert found["loss_cls"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [softmax_distillation_loss, sigmoid_distillation_loss])
def test_gradients_of_the_pure_losses(loss):
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, 2.0), student.requires_grad_())
    assert loss(student.half(), teacher.half(), 2.0).dtype == torch.float32
    assert loss(student[:0], teacher[:0], 2.0).shape == (0,)
    with pytest.raises(ValueError, match=r"\[4, 3\].*\[4, 2\]"):
        loss(student, teacher[:, :2], 1.0)
    with pytest.raises(ValueError, match="temperature=0"):
        loss(student, teacher, 0.0)


def test_scores_of_the_teacher_are_where_the_gradient_vanishes():
    logits = torch.randn(4, 3, dtype=torch.float64)
    for loss in (softmax_distillation_loss, sigmoid_distillation_loss):
        student = logits.clone().requires_grad_()
        loss(student, logits, 2.0).sum().backward()
        torch.testing.assert_close(student.grad, torch.zeros_like(logits))


def test_images_without_objects_are_learned_from_too():
    pair = predictions(0), predictions(1)
    none = [torch.empty(0, 4)] * 3
    assert losses(LogitDistillation(), *pair, boxes=none)["loss_cls"] > 0
    assert losses(LogitDistillation(region="objects"), *pair, boxes=none)["loss_cls"] == 0


def test_unsuitable_heads_are_refused_with_what_would_do():
    term = LogitDistillation(kind="softmax")
    with pytest.raises(ValueError, match=r"studentHead without .* teacherHead with .*'sigmoid'"):
        term.connect(spec("student"), spec("teacher", background=True))
    with pytest.raises(ValueError, match="only class"):
        term.connect(spec("student", num_classes=1), spec("teacher", num_classes=1))
    with pytest.raises(ValueError, match=r"2 classes .* 3.*class_map"):
        term.connect(spec("student"), spec("teacher", num_classes=3))


@pytest.mark.parametrize(
    "options",
    [
        dict(kind="mse"),
        dict(region="background"),
        dict(temperature=0.0),
        dict(temperature=2.0),
        dict(beta=-1.0),
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LogitDistillation(**options)


@pytest.mark.parametrize(
    ("detector", "kind"),
    [
        (tiny.retinanet, "quality_focal"),
        (tiny.fcos, "sigmoid"),
        (tiny.gfl, "softmax"),
        (tiny.faster_rcnn, "sigmoid"),
    ],
)
def test_detectors_learn_from_it(detector, kind):
    torch.manual_seed(0)
    term = dict(type="tbd.LogitDistillation", kind=kind)
    model = MODELS.build(
        tiny.wrapper(
            student=detector(),
            teacher=detector(width=8, channels=16),
            distill=dict(hd=None, tfd=None, logit=term),
        )
    )
    model.init_weights()
    found = model(**tiny.batch(model), mode="loss")
    found["logit.loss_cls"].backward()
    assert 0 < found["logit.loss_cls"] < 1e4
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.teacher.parameters())
