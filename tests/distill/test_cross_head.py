import itertools
import math

import pytest
import tiny
import torch
import views
from torch.nn.functional import conv2d

from tbd.distill import CrossHeadDistillation
from tbd.distill.object_regions import find_object_regions
from tbd.registry import MODELS


def build(student=None, teacher=None, term=None, **options):
    torch.manual_seed(0)
    term = dict(type="tbd.CrossHeadDistillation") | (term or {})
    model = MODELS.build(
        tiny.wrapper(
            student=student or tiny.retinanet(stacked_convs=2),
            teacher=teacher or tiny.retinanet(width=8, channels=16, stacked_convs=2),
            distill=dict(hd=None, tfd=None, crosskd=term),
            **options,
        )
    )
    model.init_weights()
    return model.train()


def step(model, **data):
    torch.manual_seed(1)
    losses = model(**tiny.batch(model, **data), mode="loss")
    return losses["crosskd.loss_cls"], losses["crosskd.loss_bbox"]


def spread(head, seed=2):
    """Give a head, whose random predictions are all alike, weights that tell locations apart."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in head.named_parameters():
        if parameter.dim() > 1:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
        elif name.startswith("retina_cls"):
            parameter.data.zero_()


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("weighting", ["score", "uniform"])
def test_losses_against_convolutions_by_hand_and_a_loop_over_predictions(weighting):
    model = build(term=dict(box_weighting=weighting, cls_weight=2.0))
    spread(model.student.bbox_head, 3)
    spread(model.teacher.bbox_head)
    recorded = {"cls": [], "reg": []}
    for task, tower in recorded.items():
        conv = getattr(model.student.bbox_head, f"{task}_convs")[0]
        conv.register_forward_hook(lambda _, __, output, tower=tower: tower.append(output.detach()))
    batch = tiny.batch(model)
    cls_loss, box_loss = step(model)

    teacher = model.teacher.bbox_head
    with torch.no_grad():
        own_cls, own_reg = teacher(model.teacher.extract_feat(batch["inputs"]))
    priors = teacher.prior_generator.grid_priors(
        [level.shape[-2:] for level in own_cls], device="cpu"
    )
    expected_cls = expected_box = total = 0.0
    for level, anchors in enumerate(priors):
        crossed = {}
        for task in ("cls", "reg"):
            adapt = model.distill["crosskd"].adaptations[task]
            rest = getattr(teacher, f"{task}_convs")[1].conv
            last = getattr(teacher, f"retina_{task}")
            hidden = conv2d(recorded[task][level], adapt.weight, adapt.bias)
            hidden = conv2d(hidden, rest.weight, rest.bias, padding=1).relu()
            crossed[task] = conv2d(hidden, last.weight, last.bias, padding=1).detach()
        for image in range(2):
            rows = [
                (
                    cls[image].permute(1, 2, 0).reshape(-1, 3).double(),
                    teacher.bbox_coder.decode(anchors, reg[image].permute(1, 2, 0).reshape(-1, 4)),
                )
                for cls, reg in ((crossed["cls"], crossed["reg"]), (own_cls[level], own_reg[level]))
            ]
            for logits, logits_t, box, box_t in zip(
                rows[0][0], rows[1][0], rows[0][1], rows[1][1], strict=True
            ):
                for a, b in zip(logits.tolist(), logits_t.tolist(), strict=True):
                    p, q = sigmoid(a), sigmoid(b)
                    expected_cls -= abs(p - q) * (q * math.log(p) + (1 - q) * math.log(1 - p))
                weight = sigmoid(logits_t.max()) if weighting == "score" else 1.0
                expected_box += weight * (1 - giou(box.double().tolist(), box_t.double().tolist()))
                total += weight
    gt = views.ground_truth([s.gt_instances.bboxes for s in batch["data_samples"]])
    sizes = [tuple(level.shape[-2:]) for level in own_cls]
    regions = find_object_regions(gt, sizes, [(8, 8), (16, 16), (32, 32)], offset=0.0)
    positives = max(regions.count().item(), 1)
    assert cls_loss.item() == pytest.approx(2 * expected_cls / positives, rel=1e-4)
    assert box_loss.item() == pytest.approx(expected_box / total, rel=1e-4)


@pytest.fixture
def distributions():
    """A pair of GFL in float64 and its batch, with weights that tell locations apart."""
    model = build(tiny.gfl(), tiny.gfl(width=8, channels=16)).double()
    generator = torch.Generator().manual_seed(2)
    for head in (model.student.bbox_head, model.teacher.bbox_head):
        for name, parameter in head.named_parameters():
            if "gfl" in name and parameter.dim() > 1:
                parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator).double()
    batch = tiny.batch(model)
    return model, batch | dict(inputs=batch["inputs"].double())


def test_distributions_are_compared_bin_by_bin(distributions):
    model, batch = distributions
    recorded = []
    model.student.bbox_head.reg_convs[0].register_forward_hook(
        lambda _, __, output: recorded.append(output.detach())
    )
    found = model(**batch, mode="loss")["crosskd.loss_bbox"]
    teacher = model.teacher.bbox_head
    expected = total = 0.0
    with torch.no_grad():
        own = zip(*teacher(model.teacher.extract_feat(batch["inputs"])), strict=True)
        for level, (own_cls, own_reg) in enumerate(own):
            hidden = model.distill["crosskd"].adaptations["reg"](recorded[level])
            hidden = teacher.reg_convs[1](hidden)
            crossed = teacher.scales[level](teacher.gfl_reg(hidden))
            scores = own_cls.amax(dim=1).sigmoid()
            for image, y, x in itertools.product(*map(range, scores.shape)):
                sides = [
                    reg[image, :, y, x].view(4, 9).softmax(dim=1).tolist()
                    for reg in (crossed, own_reg)
                ]
                apart = [
                    sum(q * math.log(q / p) for p, q in zip(*side, strict=True)) / 9
                    for side in zip(*sides, strict=True)
                ]
                expected += scores[image, y, x].item() * sum(apart) / 4
                total += scores[image, y, x].item()
    # MMDetection's head rounds distributions to float32.
    assert found.item() == pytest.approx(4 * expected / total, rel=1e-6)


@pytest.mark.parametrize("task", ["cls", "reg"])
def test_gradient_is_that_of_finite_differences(distributions, task):
    model, batch = distributions
    weight = getattr(model.student.bbox_head, f"{task}_convs")[0].conv.weight

    def value():
        losses = model(**batch, mode="loss")
        return losses["crosskd.loss_cls"] + losses["crosskd.loss_bbox"]

    (gradient,) = torch.autograd.grad(value(), weight)
    # Along the gradient, so that the change stands out of what is rounded to float32.
    step = 1e-5 * gradient / gradient.norm()
    with torch.no_grad():
        weight += step
        above = value()
        weight -= 2 * step
        below = value()
    assert (above - below).item() == pytest.approx(2 * (gradient * step).sum().item(), rel=5e-3)


def giou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - width * height
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return width * height / union - (around - union) / around


FAMILIES = {
    "retinanet": tiny.retinanet,
    "gfl": tiny.gfl,
    "fcos": tiny.fcos,
    "fcos in strides": lambda *args, **head: tiny.fcos(*args, norm_on_bbox=True, **head),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_left_to_learn_from_a_teacher_of_the_same_weights(family):
    detector = FAMILIES[family]
    model = build(detector(stacked_convs=2), detector(stacked_convs=2))
    if "fcos" in family:
        # Boxes without area overlap with nothing, not even with themselves.
        model.student.bbox_head.conv_reg.bias.data.fill_(1.0)
    model.teacher.load_state_dict(model.student.state_dict())
    assert all(abs(loss.item()) < 1e-5 for loss in step(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_stop_at_the_convolution_that_is_crossed(family):
    detector = FAMILIES[family]
    model = build(detector(stacked_convs=3), detector(8, 16, stacked_convs=3), term=dict(depth=2))
    sum(step(model)).backward()
    head = model.student.bbox_head
    for tower in (head.cls_convs, head.reg_convs):
        assert all(p.grad.abs().sum() > 0 for p in tower[1].conv.parameters() if p.dim() > 1)
        assert all(p.grad is None for p in tower[2].parameters())
    assert all(p.grad is None for name, p in head.named_parameters() if "convs" not in name), (
        "the student's own predictors learn nothing from the term"
    )
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(not p.requires_grad for p in model.teacher.parameters())


def test_the_student_may_predict_otherwise_than_the_teacher():
    model = build(tiny.fcos(classes=2), tiny.gfl(8, 16), allow_class_mismatch=True)
    data = tiny.samples()
    for item in data:
        item["data_samples"].gt_instances.labels.clamp_(max=1)
    batch = model.data_preprocessor(
        dict(
            inputs=[item["inputs"] for item in data],
            data_samples=[item["data_samples"] for item in data],
        ),
        training=True,
    )
    losses = model(**batch, mode="loss")
    assert losses["crosskd.loss_cls"] > 0
    assert losses["crosskd.loss_bbox"].isfinite()


def test_paired_levels_are_compared_and_no_others():
    whole = build()
    part = build(level_map=[(1, 1), (2, 2)])
    for model in (whole, part):
        spread(model.teacher.bbox_head)
    swapped = build(level_map=[(2, 2), (1, 1)])
    spread(swapped.teacher.bbox_head)
    # Without objects, which would be counted on other levels.
    losses = [step(model, boxes=0) for model in (whole, part, swapped)]
    assert losses[1][0] < losses[0][0]
    torch.testing.assert_close(losses[1], losses[2])


def test_levels_of_one_cell_and_images_without_objects():
    losses = step(build(), sizes=[(32, 32), (32, 32)], boxes=0)
    assert all(loss.isfinite() for loss in losses)
    assert losses[0] > 0


def test_default_depth_is_the_last_convolution_but_one():
    term = build(tiny.fcos(stacked_convs=4), tiny.fcos(stacked_convs=4)).terms["crosskd"]
    assert term.depth == 3
    assert isinstance(term.adaptations["cls"], torch.nn.Identity)
    assert build().terms["crosskd"].adaptations["reg"].weight.shape == (16, 8, 1, 1)


def test_default_box_weight_is_that_of_the_teachers_encoding():
    assert build(tiny.fcos(), tiny.gfl()).terms["crosskd"].bbox_weight == 4
    assert build(tiny.gfl(), tiny.fcos()).terms["crosskd"].bbox_weight == 1


def test_half_precision_features_give_float32_losses():
    model = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = step(model)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses)


def test_towers_of_other_depth_are_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"distill\.crosskd: .*have 1 .*2 and 2.*stacked_convs"):
        build(student=tiny.retinanet())
    with pytest.raises(ValueError, match=r"depth=3, but the towers have 2 .*at most 2"):
        build(term=dict(depth=3))
    with pytest.raises(ValueError, match=r"distill\.crosskd: .*class and box towers"):
        build(tiny.faster_rcnn(), tiny.faster_rcnn())


@pytest.mark.parametrize(
    "options",
    [
        dict(cls_weight=-1.0),
        dict(bbox_weight=math.inf),
        dict(depth=0),
        dict(beta=-1.0),
        dict(temperature=0.0),
        dict(box_weighting="iou"),
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CrossHeadDistillation(**options)
