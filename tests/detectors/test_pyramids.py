import pytest
import tiny
import torch
from torch.nn.functional import interpolate, max_pool2d
from views import ground_truth

from tbd.detectors.pyramids import match_pyramids
from tbd.distill import DetectorSpec, View, harmony_maps
from tbd.harmony import HarmonyScoreHead
from tbd.predictions import DensePredictions
from tbd.registry import MODELS


def spec(role, *strides):
    pairs = tuple((stride, stride) for stride in strides)
    return DetectorSpec(role, "Detector", "neck", (8,) * len(pairs), pairs, head=None)


def view(sizes, anchors=2, seed=0):
    """Random features, logits of three classes and boxes on levels of the given sizes."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=generator)

    boxes = []
    for size in sizes:
        low = random(2, size * size * anchors, 2) * 40
        boxes.append(torch.cat([low, low + random(2, size * size * anchors, 2) * 30], dim=2))
    return View(
        ground_truth([torch.tensor([[10.0, 10, 30, 30], [5, 20, 40, 50]]), torch.empty(0, 4)]),
        features=tuple(random(2, 8, size, size) for size in sizes),
        predictions=DensePredictions(
            [random(2, anchors * 3, s, s) for s in sizes], 3, lambda: boxes
        ),
    )


def build(**options):
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(**options))
    model.init_weights()
    return model.train()


def distillation_losses(model):
    torch.manual_seed(1)
    losses = model(**tiny.batch(model), mode="loss")
    return {key: value for key, value in losses.items() if "." in key and "loss" in key}


def test_levels_are_paired_as_the_map_says():
    match = match_pyramids(
        spec("student", 8, 16, 32), spec("teacher", 4, 8, 16, 32), [(0, 1), (2, 3)]
    )
    student, teacher = view([8, 4, 2]), view([16, 8, 4, 2], anchors=3, seed=1)
    student_view, teacher_view = match.views(student, teacher)
    for whole, part, levels in ((student, student_view, (0, 2)), (teacher, teacher_view, (1, 3))):
        for index, level in enumerate(levels):
            assert part.features[index] is whole.features[level]
            assert part.predictions.boxes[index] is whole.predictions.boxes[level]
            assert part.predictions.cls_logits[index] is whole.predictions.cls_logits[level]


def test_coarser_and_finer_maps_are_brought_to_the_students_size():
    student, teacher = view([4, 4]), view([8, 2], seed=1)
    match = match_pyramids(spec("student", 16, 16), spec("teacher", 8, 32), resize=True)
    _, resized = match.views(student, teacher)
    for level, own in zip(resized.features, teacher.features, strict=True):
        torch.testing.assert_close(level, interpolate(own, (4, 4), mode="bilinear", antialias=True))
    head = HarmonyScoreHead("sigmoid")
    maps = harmony_maps(resized, head)
    raw = harmony_maps(teacher, head)
    for name in ("p_cls", "p_loc"):
        fine, coarse = (level.amax(1, keepdim=True) for level in getattr(raw, name))
        torch.testing.assert_close(getattr(maps, name)[0], max_pool2d(fine, 2))
        repeated = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(getattr(maps, name)[1], repeated)
    for score, p_cls, p_loc in zip(maps.score, maps.p_cls, maps.p_loc, strict=True):
        torch.testing.assert_close(score, 1 - torch.tanh((p_loc - p_cls).abs()))


def test_the_order_of_the_pairs_does_not_matter():
    plain = distillation_losses(build())
    mapped = distillation_losses(build(level_map=[(2, 2), (0, 0), (1, 1)]))
    # The layers of the terms are made per pair, so only the term without layers is the same.
    torch.testing.assert_close(mapped["hd.loss_harmony"], plain["hd.loss_harmony"])


@pytest.mark.parametrize(
    ("student", "teacher", "options"),
    [
        (tiny.retinanet(), tiny.faster_rcnn(8, 16), dict(level_map=[(0, 1), (1, 2), (2, 3)])),
        (tiny.faster_rcnn(), tiny.retinanet(8, 16), dict(level_map=[(1, 0), (2, 1), (3, 2)])),
        (
            tiny.retinanet(),
            tiny.faster_rcnn(8, 16),
            dict(level_map=[(0, 0), (1, 1), (2, 2)], resize=True),
        ),
    ],
    ids=["rpn to retinanet", "retinanet to rpn", "resized"],
)
def test_pairs_of_other_pyramids_and_anchors_distill(student, teacher, options):
    # An RPN has one class, so the terms here compare none.
    model = build(student=student, teacher=teacher, **options)
    losses = distillation_losses(model)
    assert len(losses) == 3
    assert all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    for part in ("backbone", "neck", model.student_head):
        parameters = getattr(model.student, part).parameters()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters), part


def test_levels_with_equal_anchors_are_only_compared_one_to_one_at_the_same_place():
    same = build(level_map=[(0, 0), (1, 1)])
    shifted = build(level_map=[(0, 1), (1, 2)], resize=True)
    assert not same.distill["hd"].per_location
    assert shifted.distill["hd"].per_location


def test_other_pyramids_without_a_map_are_refused_with_the_map_that_would_do():
    with pytest.raises(ValueError, match=r"(?s)student.*teacher.*level_map=\[\(0, 1\), \(1, 2\)"):
        match_pyramids(spec("student", 8, 16), spec("teacher", 4, 8, 16))


def test_other_strides_without_leave_to_resize_are_refused():
    with pytest.raises(ValueError, match=r"(?s)strides 8/16 .*4/8 .*resize=True"):
        match_pyramids(spec("student", 8, 16), spec("teacher", 4, 8))


@pytest.mark.parametrize(
    "level_map", [[], [(0, 3)], [(2, 0)], [(-1, 0)], [(0,)], [(0, 0), (0, 1)]], ids=str
)
def test_maps_that_name_no_pairing_are_refused(level_map):
    with pytest.raises(ValueError, match=r"(?s)model\.level_map=.*student Detector.*teacher"):
        match_pyramids(spec("student", 8, 16), spec("teacher", 8, 16, 32), level_map)


def test_sizes_that_differ_at_a_batch_are_refused_unless_resized():
    student, teacher = view([8, 4]), view([8, 5], seed=1)
    specs = spec("student", 8, 16), spec("teacher", 8, 16)
    with pytest.raises(ValueError, match=r"\[4, 4\].*\[5, 5\].*pad_size_divisor"):
        match_pyramids(*specs).views(student, teacher)
    _, resized = match_pyramids(*specs, resize=True).views(student, teacher)
    assert resized.sizes() == ((8, 8), (4, 4))
