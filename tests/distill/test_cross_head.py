import copy
import itertools
import math
import statistics
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny
import torch
import views
from distilled import feature_spec
from mmdet.structures.bbox import distance2bbox
from reference import reference
from torch.nn.functional import conv2d, group_norm

from tbd.distill import CrossHeadDistillation, HeadSpec, TowerSpec, aligned_statistics
from tbd.distill.object_regions import find_object_regions
from tbd.predictions import DensePredictions, HeadFeatures
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


def spread(head, seed=2, scale=0.3):
    """Give a head, whose random predictions are all alike, weights that tell locations apart."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in head.named_parameters():
        if parameter.dim() > 1:
            parameter.data = scale * torch.randn(parameter.shape, generator=generator)
        elif name.startswith("retina_cls"):
            parameter.data.zero_()


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def by_loops(crossed, own, boxes, boxes_t, weighting="score", compare=None):
    """Both losses' numerators and the weight of all boxes of one level.

    Args:
        crossed: Class logits of the cross-head predictions [rows, classes].
        own: Those of the teacher's own.
        boxes: Boxes of the former [rows, 4].
        boxes_t: Boxes of the latter.
        weighting: As the term's option.
        compare: Loss of two boxes, lists of four numbers; without, 1 − generalized IoU.
    """
    cls = box = total = 0.0
    rows = zip(
        *(side.double().tolist() for side in (crossed, own, boxes, boxes_t)),
        strict=True,
    )
    for logits, logits_t, one, other in rows:
        for a, b in zip(logits, logits_t, strict=True):
            p, q = sigmoid(a), sigmoid(b)
            cls -= abs(p - q) * (q * math.log(p) + (1 - q) * math.log(1 - p))
        weight = sigmoid(max(logits_t)) if weighting == "score" else 1.0
        box += weight * (compare or giou_loss)(one, other)
        total += weight
    return cls, box, total


def count_positives(batch, sizes, offset):
    gt = views.ground_truth([s.gt_instances.bboxes for s in batch["data_samples"]])
    regions = find_object_regions(gt, sizes, [(8, 8), (16, 16), (32, 32)], offset=offset)
    return max(regions.count().item(), 1)


def flat(level, width):
    return level.permute(0, 2, 3, 1).reshape(-1, width)


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
        boxes = [
            teacher.bbox_coder.decode(anchors.repeat(2, 1), flat(reg, 4))
            for reg in (crossed["reg"], own_reg[level])
        ]
        cls, box, weight = by_loops(
            flat(crossed["cls"], 3), flat(own_cls[level], 3), *boxes, weighting
        )
        expected_cls, expected_box, total = expected_cls + cls, expected_box + box, total + weight
    positives = count_positives(batch, [tuple(level.shape[-2:]) for level in own_cls], 0.0)
    assert cls_loss.item() == pytest.approx(2 * expected_cls / positives, rel=1e-4)
    assert box_loss.item() == pytest.approx(expected_box / total, rel=1e-4)


def in_double(model):
    batch = tiny.batch(model)
    return model.double(), batch | dict(inputs=batch["inputs"].double())


def before_activation(layer, features):
    """A convolution and its norm by hand."""
    hidden = conv2d(features, layer.conv.weight, layer.conv.bias, padding=1)
    if layer.norm is None:
        return hidden
    return group_norm(hidden, 2, layer.norm.weight, layer.norm.bias, layer.norm.eps)


def aligned_by_loops(student, teacher):
    """Channel by channel, with the statistics of Python's own library."""
    result = torch.empty_like(student)
    for channel in range(student.shape[1]):
        own, other = (side[:, channel].flatten().tolist() for side in (student, teacher))
        for index in itertools.product(*map(range, student[:, 0].shape)):
            place = (index[0], channel, *index[1:])
            standard = (student[place].item() - statistics.fmean(own)) / (
                statistics.stdev(own) + 1e-6
            )
            result[place] = standard * statistics.stdev(other) + statistics.fmean(other)
    return result


def cross_head_by_hand(model, batch, align, last, read_boxes, offset, compare):
    """Both losses of a term of depth 1 on towers of two convolutions; numbers alone."""
    teacher, student = model.teacher.bbox_head, model.student.bbox_head
    features_s, features_t = (
        detector.extract_feat(batch["inputs"]) for detector in (model.student, model.teacher)
    )
    expected_cls = expected_box = total = 0.0
    for level, features in enumerate(zip(features_s, features_t, strict=True)):
        found = {"crossed": {}, "own": {}}
        for task in ("cls", "reg"):
            first = [
                before_activation(getattr(head, f"{task}_convs")[0], given)
                for head, given in zip((student, teacher), features, strict=True)
            ]
            adapt = model.distill["crosskd"].adaptations[task]
            if align:
                crossed = aligned_by_loops(
                    conv2d(first[0], adapt.weight, adapt.bias), first[1]
                ).relu()
            else:
                crossed = conv2d(first[0].relu(), adapt.weight, adapt.bias)
            for side, given in (("crossed", crossed), ("own", first[1].relu())):
                hidden = before_activation(getattr(teacher, f"{task}_convs")[1], given).relu()
                layer = getattr(teacher, last[task])
                found[side][task] = conv2d(hidden, layer.weight, layer.bias, padding=1)
        boxes = [read_boxes(teacher, level, side["reg"]) for side in found.values()]
        logits = [flat(side["cls"], 3) for side in found.values()]
        cls, box, weight = by_loops(*logits, *boxes, compare=compare)
        expected_cls, expected_box, total = expected_cls + cls, expected_box + box, total + weight
    sizes = [tuple(level.shape[-2:]) for level in features_t]
    return expected_cls / count_positives(batch, sizes, offset), expected_box / total


def decode_anchors(head, level, deltas):
    sizes = [tuple(deltas.shape[-2:])] * 3
    anchors = head.prior_generator.grid_priors(sizes, device="cpu")[level].double()
    return head.bbox_coder.decode(anchors.repeat(2, 1), flat(deltas, 4))


def decode_distances(head, level, raw):
    height, width = raw.shape[-2:]
    stride = head.strides[level]
    points = torch.tensor(
        [
            [(x + 0.5) * stride, (y + 0.5) * stride]
            for y, x in itertools.product(range(height), range(width))
        ]
    )
    return distance2bbox(points.repeat(2, 1), flat((raw * head.scales[level].scale).exp(), 4))


@torch.no_grad()
def test_aligned_features_run_through_the_head_by_hand():
    model = build(term=dict(align_statistics=True))
    for seed, detector in ((3, model.student), (2, model.teacher)):
        spread(detector.bbox_head, seed, scale=0.1)
    model, batch = in_double(model)
    expected = cross_head_by_hand(
        model,
        batch,
        align=True,
        last=dict(cls="retina_cls", reg="retina_reg"),
        read_boxes=decode_anchors,
        offset=0.0,
        compare=giou_loss,
    )
    losses = model(**copy.deepcopy(batch), mode="loss")
    assert losses["crosskd.loss_cls"].item() == pytest.approx(expected[0], rel=1e-9)
    assert losses["crosskd.loss_bbox"].item() == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("overlap", ["giou", "log_iou"])
@torch.no_grad()
def test_distances_by_both_overlaps_through_a_head_with_norms(overlap, align):
    term = dict(
        align_statistics=align, box_overlap=overlap, depth=1, cls_weight=0.4, bbox_weight=0.75
    )
    model = build(tiny.fcos(), tiny.fcos(8, 16), term)
    for seed, detector in ((3, model.student), (2, model.teacher)):
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in detector.bbox_head.named_parameters():
            if "centerness" not in name and "scales" not in name:
                parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
        detector.bbox_head.conv_reg.bias.data += 2.0
    model, batch = in_double(model)
    expected = cross_head_by_hand(
        model,
        batch,
        align,
        last=dict(cls="conv_cls", reg="conv_reg"),
        read_boxes=decode_distances,
        offset=0.5,
        compare=dict(giou=giou_loss, log_iou=log_iou_loss)[overlap],
    )
    losses = model(**copy.deepcopy(batch), mode="loss")
    assert losses["crosskd.loss_cls"].item() == pytest.approx(0.4 * expected[0], rel=1e-6)
    # MMDetection's head rounds distances to float32.
    assert losses["crosskd.loss_bbox"].item() == pytest.approx(0.75 * expected[1], rel=1e-5)


def test_aligned_statistics_against_loops_and_finite_differences():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        scale * torch.randn(2, 3, 2, 4, generator=generator).double() + shift
        for scale, shift in ((1.0, 2.0), (5.0, -1.0))
    )
    found = aligned_statistics(student, teacher)
    torch.testing.assert_close(found, aligned_by_loops(student, teacher), rtol=1e-12, atol=1e-12)
    student.requires_grad_()
    teacher.requires_grad_()
    assert torch.autograd.gradcheck(lambda own: aligned_statistics(own, teacher.detach()), student)
    aligned_statistics(student, teacher).square().sum().backward()
    assert teacher.grad is None
    with pytest.raises(ValueError, match=r"feat_s \[2, 3, 2, 4\] and feat_t \[2, 2, 2, 4\]"):
        aligned_statistics(student, teacher[:, :2])


@pytest.mark.parametrize(
    ("shape", "constant"), [((1, 3, 1, 1), False), ((2, 3, 1, 1), True), ((2, 3, 4, 4), True)]
)
def test_what_has_no_deviation_becomes_the_teachers_mean(shape, constant):
    student, teacher = (
        torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in range(2)
    )
    if constant:
        student = torch.ones_like(student)
    student.requires_grad_()
    found = aligned_statistics(student, teacher)
    expected = teacher.mean(dim=(0, 2, 3), keepdim=True).expand(shape)
    torch.testing.assert_close(found, expected)
    (found * torch.randn(shape)).sum().backward()
    assert student.grad.isfinite().all()
    assert constant or student.grad.abs().sum() == 0


def test_half_precision_is_aligned_in_float32():
    student, teacher = (
        torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed)).bfloat16()
        for seed in range(2)
    )
    found = aligned_statistics(student, teacher)
    assert found.dtype == torch.float32
    assert torch.equal(found, aligned_statistics(student.float(), teacher.float()))


@pytest.fixture
def distributions(request):
    """A pair of GFL in float64 and its batch, with weights that tell locations apart."""
    term = dict(align_statistics=getattr(request, "param", False))
    model = build(tiny.gfl(), tiny.gfl(width=8, channels=16), term).double()
    generator = torch.Generator().manual_seed(2)
    for head in (model.student.bbox_head, model.teacher.bbox_head):
        for name, parameter in head.named_parameters():
            if "gfl" in name and parameter.dim() > 1:
                parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator).double()
    batch = tiny.batch(model)
    return model, batch | dict(inputs=batch["inputs"].double())


def test_losses_are_those_of_the_public_code():
    arrays = reference("cross_head")
    cls_s, reg_s = arrays["cls_s"].requires_grad_(), arrays["reg_s"].requires_grad_()
    crossed, own = (
        DensePredictions([cls], 3, list, regression=[reg], encoding="bins")
        for cls, reg in ((cls_s, reg_s), (arrays["cls_t"], arrays["reg_t"]))
    )
    layout = dict(bins=5, encoding="bins", towers=TowerSpec((6, 6), (6, 6)))
    head = HeadSpec("bbox_head", "Head", 3, (1,), "layout", **layout)
    term = CrossHeadDistillation()
    term.connect(*(replace(feature_spec(role, 6), head=head) for role in ("student", "teacher")))
    # What the rest of the teacher's head makes of the student's features.
    rest = SimpleNamespace(predict_from=lambda *_: crossed)
    features = HeadFeatures(((cls_s,), (cls_s,)), ((reg_s,), (reg_s,)))
    found = term(
        views.view([torch.zeros(0, 4)] * 2, head_features=features),
        views.view([torch.zeros(0, 4)] * 2, predictions=own, head=rest, head_features=features),
    )
    # The code's number of positives was 1, as it is without objects here, and 1e-7 more.
    for name, tensor in (("cls", cls_s), ("bbox", reg_s)):
        loss = found[f"loss_{name}"]
        (gradient,) = torch.autograd.grad(loss, tensor, retain_graph=True)
        torch.testing.assert_close(loss, arrays[f"loss_{name}"], rtol=1e-6, atol=0)
        expected = arrays[f"gradient_{name.replace('bbox', 'reg')}"]
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-14)


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
                    sum(q * math.log(q / p) for p, q in zip(*side, strict=True))
                    for side in zip(*sides, strict=True)
                ]
                expected += scores[image, y, x].item() * sum(apart) / 4
                total += scores[image, y, x].item()
    # MMDetection's head rounds distributions to float32.
    assert found.item() == pytest.approx(4 * expected / total, rel=1e-6)


@pytest.mark.parametrize("distributions", [False, True], indirect=True, ids=["paper", "aligned"])
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


def giou_loss(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - width * height
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return 1 - width * height / union + (around - union) / around


def log_iou_loss(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return -math.log(max(width * height / (both - width * height), 1e-6))


FAMILIES = {
    "retinanet": tiny.retinanet,
    "gfl": tiny.gfl,
    "fcos": tiny.fcos,
    "fcos in strides": lambda *args, **head: tiny.fcos(*args, norm_on_bbox=True, **head),
}


OPTIONS = {"paper": dict(), "aligned": dict(align_statistics=True)}


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_left_to_learn_from_a_teacher_of_the_same_weights(family, form):
    detector = FAMILIES[family]
    model = build(detector(stacked_convs=2), detector(stacked_convs=2), OPTIONS[form])
    if "fcos" in family:
        # Boxes without area overlap with nothing, not even with themselves.
        model.student.bbox_head.conv_reg.bias.data.fill_(1.0)
    model.teacher.load_state_dict(model.student.state_dict())
    assert all(abs(loss.item()) < 1e-5 for loss in step(model))


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_stop_at_the_convolution_that_is_crossed(family, form):
    detector = FAMILIES[family]
    term = OPTIONS[form] | dict(depth=2)
    model = build(detector(stacked_convs=3), detector(8, 16, stacked_convs=3), term)
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


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("form", OPTIONS)
def test_levels_of_one_cell_and_images_without_objects(form, images):
    model = build(term=OPTIONS[form])
    losses = step(model, sizes=[(32, 32)] * images, boxes=0)
    assert all(loss.isfinite() for loss in losses)
    assert losses[0] > 0
    sum(losses).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_single_cell_has_nothing_to_learn_from_its_statistics():
    model = build(term=OPTIONS["aligned"], level_map=[(2, 2)])
    losses = step(model, sizes=[(32, 32)])
    assert losses[0] == losses[1] == 0


def test_default_depth_is_the_last_convolution_but_one():
    term = build(tiny.fcos(stacked_convs=4), tiny.fcos(stacked_convs=4)).terms["crosskd"]
    assert term.depth == 3
    assert isinstance(term.adaptations["cls"], torch.nn.Identity)
    assert build().terms["crosskd"].adaptations["reg"].weight.shape == (16, 8, 1, 1)


def test_towers_of_two_lengths_are_cut_in_the_shorter_one():
    term = CrossHeadDistillation()
    widths = dict(student=((2, 3, 4, 5), (12, 13, 14)), teacher=((6, 7, 8, 9), (16, 17, 18)))
    specs = []
    for role, towers in widths.items():
        layout = dict(bins=5, encoding="bins", towers=TowerSpec(*towers))
        head = HeadSpec("bbox_head", "Head", 3, (1,), "layout", **layout)
        specs.append(replace(feature_spec(role, 6), head=head))
    term.connect(*specs)
    assert term.depth == 2
    assert term.adaptations["cls"].weight.shape == (7, 3, 1, 1)
    assert term.adaptations["reg"].weight.shape == (17, 13, 1, 1)


def test_default_box_weight_is_that_of_the_teachers_encoding():
    assert build(tiny.fcos(), tiny.gfl()).terms["crosskd"].bbox_weight == 4
    assert build(tiny.gfl(), tiny.fcos()).terms["crosskd"].bbox_weight == 1


@pytest.mark.parametrize("form", OPTIONS)
def test_half_precision_features_give_float32_losses(form):
    model = build(term=OPTIONS[form])
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


def test_alignment_is_refused_where_a_tower_has_no_activation_to_stand_before():
    head = dict(
        type="YOLOXHead", strides=[8, 16, 32], use_depthwise=True, stacked_convs=2, num_classes=3
    )
    config = tiny.retinanet()
    depthwise = config | dict(
        type="YOLOX",
        bbox_head=head | dict(in_channels=8, feat_channels=8),
        train_cfg=dict(assigner=dict(type="SimOTAAssigner")),
    )
    term = dict(align_statistics=True, depth=1)
    message = (
        r"distill\.crosskd: align_statistics=True compares what convolution 1 .* in the "
        r"student's YOLOXHead it is no ConvModule .*; set align_statistics=False"
    )
    with pytest.raises(ValueError, match=message):
        build(depthwise, tiny.retinanet(stacked_convs=2), term)
    assert build(depthwise, tiny.retinanet(stacked_convs=2), dict(depth=1))


def test_the_report_names_the_forms_that_were_chosen():
    assert "box_overlap=giou, align_statistics=False" in CrossHeadDistillation().describe()
    term = CrossHeadDistillation(box_overlap="log_iou", align_statistics=True)
    assert "box_overlap=log_iou, align_statistics=True" in term.describe()


@pytest.mark.parametrize(
    "options",
    [
        dict(cls_weight=-1.0),
        dict(bbox_weight=math.inf),
        dict(depth=0),
        dict(beta=-1.0),
        dict(temperature=0.0),
        dict(box_weighting="iou"),
        dict(box_overlap="diou"),
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CrossHeadDistillation(**options)
