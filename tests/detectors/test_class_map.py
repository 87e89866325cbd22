import pytest
import tiny
import torch
import views
from transformers import transformer

from tbd.detectors.class_map import match_classes
from tbd.distill import HeadSpec, RoISpec
from tbd.distill.spec import DetectorSpec
from tbd.predictions import DensePredictions, QueryPredictions, RoIPredictions
from tbd.registry import MODELS

BCKD = dict(type="tbd.BinaryClassificationDistillation")


def build(student, teacher, term=BCKD, **options):
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(
            student=student, teacher=teacher, distill=dict(hd=None, tfd=None, term=term), **options
        )
    )
    model.init_weights()
    return model.train()


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("background", [False, True])
def test_dense_logits_of_the_paired_classes_are_kept_for_every_anchor(background):
    width = 3 + background
    logits = random(2, 2 * width, 4, 5)
    dense = DensePredictions([logits], 3, decode=lambda: ["boxes"], background=background)
    kept = dense.select_classes([2, 0])
    assert kept.num_classes == 2
    channels = [a * width + c for a in range(2) for c in ([2, 0, 3] if background else [2, 0])]
    assert kept.cls_logits[0].equal(logits[:, channels])
    assert kept.boxes == ["boxes"]


def test_queries_and_proposals_keep_the_background_last():
    queries = QueryPredictions(
        random(2, 1, 5, 4), random(2, 1, 5, 4), [], [(8, 8)], 3, background=True
    )
    assert queries.select_classes([1]).cls_logits.equal(queries.cls_logits[..., [1, 3]])
    for boxes in (random(6, 3, 4), random(6, 1, 4)):
        rois = RoIPredictions(random(6, 5), random(6, 4), lambda boxes=boxes: boxes)
        kept = rois.select_classes([2, 1])
        assert kept.cls_logits.equal(rois.cls_logits[:, [2, 1, 3]])
        assert kept.boxes.equal(boxes[:, [2, 1]] if boxes.shape[1] == 3 else boxes)


def test_objects_of_other_classes_are_ignored_regions():
    boxes = [torch.tensor([[0.0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]]), torch.empty(0, 4)]
    labels = [torch.tensor([2, 1, 0]), torch.empty(0, dtype=torch.long)]
    gt = views.ground_truth(boxes, labels).select_classes([0, 2])
    assert gt.labels[0].tolist() == [1, 0]
    assert gt.boxes[0].equal(boxes[0][[0, 2]])
    assert gt.ignored[0].equal(boxes[0][[1]])
    assert [len(part[1]) for part in (gt.boxes, gt.labels, gt.ignored)] == [0, 0, 0]


def test_pairs_are_sorted_by_the_students_classes_and_named():
    for given in ({3: 1, 0: 0}, [(3, 1), (0, 0)]):
        match = match_classes(given, 2, 4)
        assert (match.student_classes, match.teacher_classes) == ((0, 1), (0, 3))
    assert match.names("abcd", "xy") == [
        "'a' of the teacher is 'x'",
        "'d' of the teacher is 'y'",
    ]
    assert str(match) == "2 of 2 <- 4 (0 <- 0, 1 <- 3)"


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        ({}, "must be pairs"),
        ({4: 0}, "the teacher has 4 classes, the student 2"),
        ({0: 2}, "the teacher has 4 classes, the student 2"),
        ({-1: 0}, "must be pairs"),
        ({"car": 0}, "must be pairs"),
        ([(0, 1, 2)], "must be pairs"),
        ({0: 1, 1: 1}, "names a class twice"),
        ([(0, 0), (0, 1)], "names a class twice"),
    ],
)
def test_other_maps_are_refused(class_map, message):
    with pytest.raises(ValueError, match=rf"model\.class_map=.*{message}"):
        match_classes(class_map, 2, 4)
    with pytest.raises(ValueError, match="the teacher does not say"):
        match_classes({0: 0}, 2, None)


def test_heads_without_classes_stay_as_they_are():
    match = match_classes({3: 1, 0: 0}, 2, 4)
    rpn = HeadSpec("rpn_head", "RPNHead", 1, (3,), "anchors")
    parts = dict(roi=RoISpec("RoIHead", 4, 1))
    spec = DetectorSpec("teacher", "FasterRCNN", "neck", (8,), ((8, 8),), rpn, **parts)
    student, teacher = match.specs(spec, spec)
    assert teacher.head == rpn
    assert teacher.roi.num_classes == 2
    assert student.roi.num_classes == 4


def test_a_teacher_with_its_classes_in_another_order_teaches_as_one_in_the_same():
    """The classifier's channels are moved, and the map says where to."""
    student = tiny.retinanet(classes=3)
    plain = build(student, tiny.retinanet(8, 16, classes=3))
    plain.teacher.bbox_head.retina_cls.weight.data.normal_()
    order = [2, 0, 1]
    moved = build(
        student, tiny.retinanet(8, 16, classes=3), class_map={order.index(c): c for c in range(3)}
    )
    state = plain.teacher.state_dict()
    moved.teacher.load_state_dict(state)
    moved.student.load_state_dict(plain.student.state_dict())
    for name in ("weight", "bias"):
        values = state[f"bbox_head.retina_cls.{name}"].unflatten(0, (2, 3))[:, order].flatten(0, 1)
        getattr(moved.teacher.bbox_head.retina_cls, name).data.copy_(values)
    losses = [model(**tiny.batch(model), mode="loss") for model in (plain, moved)]
    assert losses[0]["term.loss_cls"] > 0
    for name in ("term.loss_cls", "term.loss_bbox", "loss_cls"):
        torch.testing.assert_close(losses[1][name], losses[0][name])


FAMILIES = {
    "hd": (tiny.retinanet, dict(type="tbd.HarmonyDistillation")),
    "logits": (tiny.fcos, dict(type="tbd.LogitDistillation")),
    "crosskd": (tiny.gfl, dict(type="tbd.CrossHeadDistillation")),
    "roi": (tiny.faster_rcnn, dict(type="tbd.RoIDistillation")),
    "bckd on the rpn": (tiny.faster_rcnn, BCKD),
    "cascade": (tiny.cascade_rcnn, dict(type="tbd.RoIDistillation")),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_class_lists_that_overlap_are_distilled(family):
    detector, term = FAMILIES[family]
    model = build(detector(), detector(8, 16, classes=5), term, class_map=[(4, 0), (1, 2)])
    losses = model(**tiny.batch(model), mode="loss")
    found = [value for name, value in losses.items() if name.startswith("term.loss")]
    torch.stack(found).sum().backward()
    assert all(loss.isfinite() for loss in found)
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0


def test_queries_of_class_lists_that_overlap_are_distilled():
    teacher = transformer("dino", width=8)
    teacher.bbox_head.num_classes = 5
    term = dict(type="tbd.QueryDistillation")
    model = build(transformer("deformable"), teacher, term, class_map={4: 0, 1: 2})
    losses = model(**tiny.batch(model), mode="loss")
    assert losses["term.loss_cls"].isfinite()


def test_without_a_map_other_numbers_of_classes_are_never_paired_by_index():
    pair = tiny.retinanet(), tiny.retinanet(8, 16, classes=5)
    with pytest.raises(ValueError, match=r"3 classes and the teacher 5.*model\.class_map"):
        build(*pair)
    with pytest.raises(ValueError, match=r"distill\.term: .*paired by their index.*class_map"):
        build(*pair, allow_class_mismatch=True)
