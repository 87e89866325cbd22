import itertools
import math
from dataclasses import replace

import pytest
import tiny
import torch
import views
from reference import reference
from transformers import CONFIGS, transformer

from tbd.distill import DetectorSpec, QueryDistillation, QuerySpec, target_aware_feature_loss
from tbd.predictions import QueryPredictions
from tbd.registry import MODELS

LAYERS, IMAGES, CLASSES, SIZE = 2, 2, 2, (40, 80)
BOXES = [torch.tensor([[8.0, 4, 40, 20], [20, 20, 60, 36]]), torch.empty(0, 4)]
LABELS = [torch.tensor([1, 0]), torch.empty(0, dtype=torch.long)]


def queries(seed, count, background=False, layers=LAYERS, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    logits = 6 * random(layers, IMAGES, count, CLASSES + background) - 3
    boxes = torch.cat(
        [
            0.3 + 0.4 * random(layers, IMAGES, count, 2),
            0.1 + 0.3 * random(layers, IMAGES, count, 2),
        ],
        dim=3,
    )
    return QueryPredictions(
        logits.to(dtype),
        boxes.to(dtype),
        [random(IMAGES, count, 4).to(dtype) for _ in range(layers)],
        [SIZE] * IMAGES,
        CLASSES,
        background,
    )


def spec(role, background=False, **options):
    settings = (
        dict(
            type=f"{role}Head",
            num_classes=CLASSES,
            background=background,
            num_queries=4,
            num_layers=LAYERS,
            channels=4,
        )
        | options
    )
    return DetectorSpec(role, "DETR", "neck", (4,), ((8, 8),), None, queries=QuerySpec(**settings))


def losses(term, student, teacher, boxes=BOXES, labels=LABELS, **parts):
    term.connect(spec("student", student.background), spec("teacher", teacher.background))
    gt = views.ground_truth(boxes, labels, size=SIZE)
    found = [views.View(gt, queries=side, **parts) for side in (student, teacher)]
    return term(*found)


def iou(a, b):
    """Of boxes given by their corners."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - width * height
    return width * height / union


def giou(a, b):
    """Of boxes given by centre and size."""
    a, b = ([x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y, w, h in (a, b))
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - width * height
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return iou(a, b) - (around - union) / around


def softmax(row):
    exponentials = [math.exp(value) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def probabilities(row, background):
    return softmax(row)[:-1] if background else [1 / (1 + math.exp(-value)) for value in row]


def divergence(t, s, softmax_s, softmax_t):
    if softmax_s and softmax_t:
        return sum(q * math.log(q / p) for p, q in zip(softmax(s), softmax(t), strict=True))
    return sum(
        q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
        for p, q in zip(probabilities(s, softmax_s), probabilities(t, softmax_t), strict=True)
    )


def best(cost, rows, columns):
    """The pairs of least total cost, by trying all."""
    if len(rows) > len(columns):
        return [(r, c) for c, r in best(lambda c, r: cost(r, c), columns, rows)]
    choices = itertools.permutations(columns, len(rows))
    return min(
        (list(zip(rows, chosen, strict=True)) for chosen in choices),
        key=lambda pairs: sum(cost(r, c) for r, c in pairs),
    )


@pytest.mark.parametrize("background_s", [False, True])
@pytest.mark.parametrize("background_t", [False, True])
@pytest.mark.parametrize("count_s", [3, 5])
def test_losses_against_a_search_of_all_matchings(background_s, background_t, count_s):
    student, teacher = queries(0, count_s, background_s), queries(1, 4, background_t)
    height, width = SIZE
    sums, counts = dict(cls=0.0, l1=0.0, giou=0.0, negative=0.0), [0, 0]
    for layer in range(LAYERS):
        for image in range(IMAGES):
            logits_s, logits_t = (
                side.cls_logits[layer, image].tolist() for side in (student, teacher)
            )
            boxes_s, boxes_t = (
                side.centers_and_sizes[layer, image].tolist() for side in (student, teacher)
            )
            gt = [
                [(a + c) / 2 / width, (b + d) / 2 / height, (c - a) / width, (d - b) / height]
                for a, b, c, d in BOXES[image].tolist()
            ]

            def l1(a, b):
                return sum(abs(x - y) for x, y in zip(a, b, strict=True))

            def box_cost(a, b):
                return 5 * l1(a, b) + 2 * (1 - giou(a, b))

            def to_gt(g, i):
                p = probabilities(logits_t[i], background_t)[LABELS[image][g]]  # noqa: B023
                return box_cost(gt[g], boxes_t[i]) - p  # noqa: B023

            def kl(i, j):
                return divergence(logits_t[i], logits_s[j], background_s, background_t)  # noqa: B023

            def whole(i, j):
                return box_cost(boxes_t[i], boxes_s[j]) + kl(i, j)  # noqa: B023

            def boxes_only(i, j):
                return box_cost(boxes_t[i], boxes_s[j])  # noqa: B023

            positive = [i for _, i in best(to_gt, range(len(gt)), range(4))] if gt else []
            pairs = best(whole, positive, range(count_s)) if positive else []
            for i, j in pairs:
                sums["cls"] += kl(i, j)
                sums["l1"] += 5 * l1(boxes_t[i], boxes_s[j])
                sums["giou"] += 2 * (1 - giou(boxes_t[i], boxes_s[j]))
            counts[0] += len(pairs)
            negative = [i for i in range(4) if i not in positive]
            pairs = best(boxes_only, negative, range(count_s))
            sums["negative"] += sum(boxes_only(i, j) for i, j in pairs)
            counts[1] += len(pairs)
    found = losses(
        QueryDistillation(loss_weight=2.0, negative_weight=3.0, feature_weight=0.0),
        student,
        teacher,
    )
    # Both layers have as many pairs.
    for name in ("cls", "l1", "giou"):
        expected = 2 * sums[name] / (counts[0] / LAYERS)
        assert found[f"loss_{name}"].item() == pytest.approx(expected, rel=1e-6)
    expected = 6 * sums["negative"] / (counts[1] / LAYERS)
    assert found["loss_negative"].item() == pytest.approx(expected, rel=1e-6)


def test_gradient_is_that_of_the_losses_at_a_fixed_matching():
    student, teacher = queries(0, 5), queries(1, 4)
    given = [student.cls_logits.requires_grad_(), student.centers_and_sizes.requires_grad_()]
    term = QueryDistillation(feature_weight=0.0)
    gradients = torch.autograd.grad(sum(losses(term, student, teacher).values()), given)
    for index, gradient in enumerate(gradients):
        step = 1e-6 * torch.randn_like(gradient)
        values = []
        for sign in (1, -1):
            moved = queries(0, 5)
            (moved.cls_logits, moved.centers_and_sizes)[index].add_(sign * step)
            values.append(sum(losses(term, moved, teacher).values()).item())
        expected = 2 * (gradient * step).sum().item()
        assert values[0] - values[1] == pytest.approx(expected, rel=1e-4)


def test_the_same_queries_in_another_order_cost_nothing():
    teacher = queries(0, 5)
    order = torch.tensor([3, 1, 4, 0, 2])
    student = QueryPredictions(
        teacher.cls_logits[:, :, order],
        teacher.centers_and_sizes[:, :, order],
        teacher.hidden,
        [SIZE] * IMAGES,
        CLASSES,
        background=False,
    )
    found = losses(QueryDistillation(feature_weight=0.0), student, teacher)
    assert all(abs(loss.item()) < 1e-9 for loss in found.values())


@pytest.mark.parametrize(
    ("layers_t", "index"),
    [
        (6, [1, 3, 5]),
        (6, [2, 5]),
        (6, [0, 1, 2, 3, 4, 5]),
        (6, [5]),
        # Where neither number divides the other, the first that is at least as deep.
        (6, [1, 2, 4, 5]),
        (4, [0, 1, 1, 2, 3, 3]),
    ],
)
def test_students_layers_learn_from_the_teachers_at_the_same_part_of_the_depth(layers_t, index):
    teacher = queries(0, 4, layers=layers_t)
    student = QueryPredictions(
        teacher.cls_logits[index],
        teacher.centers_and_sizes[index],
        [teacher.hidden[i] for i in index],
        [SIZE] * IMAGES,
        CLASSES,
        background=False,
    )
    found = losses(QueryDistillation(feature_weight=0.0), student, teacher)
    assert all(abs(loss.item()) < 1e-9 for loss in found.values())


def test_ground_truth_is_matched_by_centre_and_by_size():
    # One of many queries of the teacher's has the object's box.
    gt = torch.tensor([[24.0, 18, 40, 30]])
    teacher, student = queries(0, 500, layers=1), queries(1, 1, layers=1)
    teacher.cls_logits[:] = 0
    teacher.centers_and_sizes[..., 7, :] = torch.tensor([0.4, 0.6, 0.2, 0.3])
    term = QueryDistillation(feature_weight=0.0)
    found = losses(term, student, teacher, [gt, gt], [torch.tensor([0])] * 2)
    own, positive = student.centers_and_sizes[0, :, 0], teacher.centers_and_sizes[0, :, 7]
    expected = 5 * (own - positive).abs().sum() / IMAGES
    torch.testing.assert_close(found["loss_l1"], expected)


def test_a_batch_without_objects_has_negatives_alone():
    none = dict(boxes=[torch.empty(0, 4)] * 2, labels=[torch.empty(0, dtype=torch.long)] * 2)
    found = losses(QueryDistillation(feature_weight=0.0), queries(0, 4), queries(1, 4), **none)
    assert found["loss_cls"] == found["loss_l1"] == found["loss_giou"] == 0
    assert found["loss_negative"] > 0


def test_feature_loss_against_a_loop_over_cells_and_queries():
    generator = torch.Generator().manual_seed(0)
    feat_s, feat_t = torch.randn(2, 2, 3, 4, 5, generator=generator, dtype=torch.float64)
    hidden = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    quality = torch.rand(2, 6, generator=generator, dtype=torch.float64)
    total = 0.0
    for image in range(2):
        mask = {}
        for y, x in itertools.product(range(4), range(5)):
            cell = feat_t[image, :, y, x]
            mask[y, x] = sum(
                quality[image, i].item()
                * (hidden[image, i] @ cell / hidden[image, i].norm() / cell.norm()).item()
                for i in range(6)
            )
        largest = max(mask.values())
        for (y, x), value in mask.items():
            weight = max(value, 0) / largest
            for channel in range(3):
                difference = feat_t[image, channel, y, x] - feat_s[image, channel, y, x]
                total += (weight * difference.item()) ** 2
    loss = target_aware_feature_loss(feat_s, feat_t, hidden, quality)
    assert loss.item() == pytest.approx(total / (2 * 3 * 4 * 5), rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda s: target_aware_feature_loss(s, feat_t, hidden, quality), feat_s.requires_grad_()
    )
    assert target_aware_feature_loss(feat_s, feat_t, hidden, 0 * quality) == 0
    one = feat_s[:, :, :1, :1], feat_t[:, :, :1, :1]
    assert target_aware_feature_loss(*one, hidden, quality).isfinite()


@pytest.mark.parametrize("background", [False, True])
def test_features_are_compared_where_queries_of_the_last_layer_find_objects(background):
    student, teacher = queries(0, 4, layers=3), queries(1, 5, background, layers=3)
    generator = torch.Generator().manual_seed(0)
    feat_s, feat_t = torch.randn(2, 2, 4, 3, 5, generator=generator, dtype=torch.float64)
    logits, corners = teacher.cls_logits[2].tolist(), teacher.boxes[2].tolist()
    quality = torch.zeros(IMAGES, 5, dtype=torch.float64)
    for image, i in itertools.product(range(IMAGES), range(5)):
        for box, label in zip(BOXES[image].tolist(), LABELS[image].tolist(), strict=True):
            probability = probabilities(logits[image][i], background)[label]
            found = math.sqrt(probability * iou(corners[image][i], box))
            quality[image, i] = max(quality[image, i].item(), found)
    term = QueryDistillation(adaptation="identity", loss_weight=2.0, feature_weight=3.0)
    term.connect(spec("student"), spec("teacher", background))
    gt = views.ground_truth(BOXES, LABELS, size=SIZE)
    both = ((student, feat_s), (teacher, feat_t))
    loss = term(*(views.View(gt, queries=q, features=(f,)) for q, f in both))["loss_feature"]
    assert (quality[0] > 0).sum() > 2
    expected = target_aware_feature_loss(feat_s, feat_t, teacher.hidden[2], quality)
    torch.testing.assert_close(loss, 6 * expected)


def test_numbers_of_the_public_code():
    arrays = reference("query")
    given = {
        name: value.requires_grad_()
        for name, value in arrays.items()
        if name in ("logits_s", "boxes_s", "feat_s", "feat_s_1")
    }

    def side(role):
        return QueryPredictions(
            arrays[f"logits_{role}"],
            arrays[f"boxes_{role}"],
            list(arrays["hidden"]),
            [SIZE] * IMAGES,
            3,
            background=False,
        )

    def levels(role):
        return arrays[f"feat_{role}"], arrays[f"feat_{role}_1"]

    term = QueryDistillation(matching="joint", feature_mask="every_layer", adaptation="identity")
    specs = [
        replace(
            spec(role, num_classes=3, num_queries=40, channels=6),
            channels=(6, 6),
            strides=((8, 8), (16, 16)),
        )
        for role in ("student", "teacher")
    ]
    term.connect(*specs)
    labels = [torch.tensor([1, 0]), torch.tensor([2])]
    gt = views.ground_truth([arrays["gt_0"], arrays["gt_1"]], labels, size=SIZE)
    found = term(*(views.View(gt, queries=side(role), features=levels(role)) for role in "st"))
    p = arrays["logits_t"].sigmoid()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    # The mean over the pairs of each layer, of which all queries are part.
    found["loss_cls"] = found["loss_cls"] + entropy / (IMAGES * 40)
    assert found.keys() == {"loss_cls", "loss_l1", "loss_giou", "loss_feature"}
    for name, loss in found.items():
        torch.testing.assert_close(loss, arrays[name], rtol=1e-5, atol=0)
    gradients = torch.autograd.grad(sum(found.values()), list(given.values()))
    expected = dict(logits_s="logits", boxes_s="boxes", feat_s="feature", feat_s_1="feature_1")
    for name, gradient in zip(given, gradients, strict=True):
        torch.testing.assert_close(
            gradient, arrays[f"gradient_{expected[name]}"], rtol=1e-5, atol=1e-9
        )


# With fewer queries than the teacher's the matching chooses among those, by the whole divergence.
@pytest.mark.parametrize(("count_s", "seed"), [(5, 0), (2, 0), (2, 5)])
def test_joint_matching_against_a_search_of_all_matchings(count_s, seed):
    student, teacher = queries(seed, count_s), queries(seed + 1, 4)
    expected = 0.0
    for layer, image in itertools.product(range(LAYERS), range(IMAGES)):
        logits_s, logits_t = (s.cls_logits[layer, image].tolist() for s in (student, teacher))
        boxes_s, boxes_t = (s.centers_and_sizes[layer, image].tolist() for s in (student, teacher))

        def cost(i, j):
            l1 = sum(abs(x - y) for x, y in zip(boxes_t[i], boxes_s[j], strict=True))  # noqa: B023
            kl = divergence(logits_t[i], logits_s[j], False, False)  # noqa: B023
            return kl + 5 * l1 + 2 * (1 - giou(boxes_t[i], boxes_s[j]))  # noqa: B023

        expected += sum(cost(i, j) for i, j in best(cost, range(4), range(count_s)))
    term = QueryDistillation(matching="joint", feature_weight=0.0)
    found = losses(term, student, teacher)
    pairs = IMAGES * min(4, count_s)
    assert sum(found.values()).item() == pytest.approx(expected / pairs, rel=1e-6)


def test_an_image_without_objects_is_masked_by_the_classes_alone():
    teacher = queries(1, 4)
    none = dict(boxes=[torch.empty(0, 4)] * 2, labels=[torch.empty(0, dtype=torch.long)] * 2)
    generator = torch.Generator().manual_seed(0)
    features = (torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64),)
    term = QueryDistillation(feature_mask="every_layer", matching="joint", adaptation="identity")
    term.connect(spec("student"), spec("teacher"))
    gt = views.ground_truth(**none, size=SIZE)
    found = term(
        views.View(gt, queries=queries(0, 4), features=(2 * features[0],)),
        views.View(gt, queries=teacher, features=features),
    )
    expected = 0.0
    for layer in range(LAYERS):
        # A query counts once for each of its classes.
        quality = teacher.cls_logits[layer].sigmoid().sum(dim=2)
        expected += target_aware_feature_loss(
            2 * features[0], features[0], teacher.hidden[layer], quality, least=0.01
        )
    torch.testing.assert_close(found["loss_feature"], expected)


def test_shapes_that_do_not_belong_together_are_refused():
    features, hidden = torch.zeros(2, 3, 4, 4), torch.zeros(2, 6, 5)
    with pytest.raises(ValueError, match=r"queries \[2, 6, 5\] must be \[N, Q, 3\]"):
        target_aware_feature_loss(features, features, hidden, torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"feat_s \[2, 3, 4, 4\] and feat_t \[2, 3, 2, 4\]"):
        target_aware_feature_loss(features, features[:, :, :2], hidden, torch.zeros(2, 6))


def test_half_precision_gives_float32():
    half = [queries(seed, 4, dtype=torch.float16) for seed in (0, 1)]
    features = (torch.randn(2, 4, 3, 3).half(),)
    found = losses(QueryDistillation(), *half, features=features)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in found.values())


def test_a_number_that_is_none_in_the_teacher_does_not_stop_the_matching():
    teacher = queries(1, 4)
    teacher.centers_and_sizes[0, 0, 0] = math.nan
    found = losses(QueryDistillation(feature_weight=0.0), queries(0, 4), teacher)
    assert found["loss_negative"].isnan()


def test_other_classes_and_widths_are_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"studentHead .* 2 classes .*teacherHead 3.*class_map"):
        QueryDistillation().connect(spec("student"), spec("teacher", num_classes=3))
    with pytest.raises(ValueError, match=r"queries of 8 numbers.*\[4\] channels.*feature_weight=0"):
        QueryDistillation().connect(spec("student"), spec("teacher", channels=8))
    without = QueryDistillation(feature_weight=0.0)
    without.connect(spec("student"), spec("teacher", channels=8))
    assert not list(without.parameters())
    assert without.reads == {"queries"}
    assert QueryDistillation().reads == {"queries", "features"}


@pytest.mark.parametrize(
    "name", ["cls_weight", "l1_weight", "giou_weight", "negative_weight", "feature_weight"]
)
def test_settings_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=name):
        QueryDistillation(**{name: -1.0})


def build(student, teacher, **term):
    torch.manual_seed(0)
    term = dict(type="tbd.QueryDistillation") | term
    model = MODELS.build(
        tiny.wrapper(
            student=student, teacher=teacher, distill=dict(hd=None, tfd=None, detrdistill=term)
        )
    )
    model.init_weights()
    return model.train()


@pytest.mark.parametrize("name", CONFIGS)
def test_detectors_learn_from_it(name):
    model = build(transformer(name), transformer(name, width=8))
    found = {
        key: value
        for key, value in model(**tiny.batch(model), mode="loss").items()
        if key.startswith("detrdistill.")
    }
    assert len(found) == 5
    torch.stack(list(found.values())).sum().backward()
    assert all(loss.isfinite() for loss in found.values())
    assert found["detrdistill.loss_cls"] > 0
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert any(p.grad is not None for p in model.student.bbox_head.parameters())
    assert all(p.grad is None for p in model.teacher.parameters())


def test_decoders_of_different_families_are_compared():
    model = build(transformer("deformable"), transformer("dino", width=8), feature_weight=0.0)
    losses = model(**tiny.batch(model), mode="loss")
    assert losses["detrdistill.loss_cls"].isfinite()


def test_detectors_without_queries_are_refused():
    with pytest.raises(ValueError, match=r"distill\.detrdistill: .*a decoder of queries"):
        build(tiny.retinanet(), tiny.retinanet())
