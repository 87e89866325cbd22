"""What a term declares to read is what it sees, and all that is run for it."""

import gc
import weakref
from collections import Counter
from dataclasses import replace

import pytest
import tiny
import torch
from mmengine.structures import InstanceData
from probe_terms import probe, registered
from torch.testing import assert_close
from transformers import transformer

from tbd.distill import UnsuitablePairError, harmony_maps
from tbd.harmony import HarmonyScoreHead
from tbd.predictions import build_adapter
from tbd.registry import MODELS


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


def build(distill, student=None, teacher=None, **options):
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(
            student=student or tiny.retinanet(),
            teacher=teacher or tiny.retinanet(width=8, channels=16),
            distill=distill,
            **options,
        )
    )
    model.init_weights()
    return model.train()


def see(model):
    """One step; its losses and the views that the probe was shown."""
    data = tiny.batch(model)
    losses = model(**data, mode="loss")
    (views,) = model.distill["probe"].seen
    return losses, *views


def count_calls(model):
    calls = Counter()
    for role in ("student", "teacher"):
        for part, module in getattr(model, role).named_children():
            module.register_forward_hook(
                lambda *_, key=f"{role}.{part}": calls.update([key]) or None
            )
    return calls


def gfl(width=4, channels=8):
    detector = tiny.retinanet(width, channels)
    head = dict(
        type="GFLHead",
        num_classes=3,
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=2,
        norm_cfg=tiny.NORM,
        reg_max=5,
        anchor_generator=dict(
            type="AnchorGenerator",
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=[8, 16, 32],
        ),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True),
        loss_dfl=dict(type="DistributionFocalLoss"),
        loss_bbox=dict(type="GIoULoss"),
    )
    train_cfg = dict(assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1)
    return detector | dict(type="GFL", bbox_head=head, train_cfg=train_cfg)


# --- modules by their path --------------------------------------------------

PATHS = ("backbone.layer3", "bbox_head.cls_convs.0")


def test_modules_are_seen_by_path_and_shared_ones_call_by_call():
    model = build(probe("features", student_modules=PATHS, teacher_modules=PATHS))
    calls = count_calls(model)
    _, student, teacher = see(model)
    assert set(calls.values()) == {1}
    for view, width, channels in ((student, 4, 8), (teacher, 8, 16)):
        (stage,) = view.outputs["backbone.layer3"]
        assert stage.shape == (2, 4 * width, 4, 4)
        # The head is shared: once for each of the three levels.
        shapes = [tuple(output.shape) for output in view.outputs["bbox_head.cls_convs.0"]]
        assert shapes == [(2, channels, size, size) for size in (8, 4, 2)]
    assert student.outputs["backbone.layer3"][0].requires_grad
    assert not teacher.outputs["backbone.layer3"][0].requires_grad
    expected = teacher.features[0]
    conv = model.teacher.bbox_head.cls_convs[0]
    assert_close(teacher.outputs["bbox_head.cls_convs.0"][0], conv(expected))


def test_terms_know_the_shapes_of_modules_before_training():
    model = build(probe("features", student_modules=PATHS, teacher_modules=PATHS))
    student, teacher = model.distill["probe"].specs
    assert student.outputs["backbone.layer3"] == ((1, 16, 4, 4),)
    assert [shape[1:] for shape in teacher.outputs["bbox_head.cls_convs.0"]] == [
        (16, 8, 8),
        (16, 4, 4),
        (16, 2, 2),
    ]


def test_a_path_that_does_not_exist_is_refused_with_the_nearest():
    message = (
        r"distill\.probe: student_modules: the student RetinaNet has no module 'backbone\.layer9'; "
        r"near to it are backbone\.layer\d"
    )
    with pytest.raises(UnsuitablePairError, match=message):
        build(probe("features", student_modules=["backbone.layer9"]))


def test_modules_of_the_teachers_second_stage_run_on_the_students_proposals():
    path = "roi_head.bbox_head.shared_fcs.0"
    model = build(
        probe("features", student_modules=[path], teacher_modules=[path]),
        student=tiny.faster_rcnn(),
        teacher=tiny.faster_rcnn(8, 16),
    )
    _, student, teacher = see(model)
    (own,), (other,) = student.outputs[path], teacher.outputs[path]
    assert own.shape == other.shape == (len(student.rois[0].rois), 16)


def test_modules_of_a_decoder_are_seen():
    path = "decoder.layers.1"
    model = build(
        probe("backbone", student_modules=[path], teacher_modules=[path]),
        student=transformer("deformable"),
        teacher=transformer("deformable", width=8),
    )
    _, student, teacher = see(model)
    assert len(student.outputs[path]) == len(teacher.outputs[path]) == 1


def test_nothing_that_was_recorded_outlives_the_step():
    model = build(
        probe("features", "backbone", "head_features", "head", "predictions", student_modules=PATHS)
    )
    losses, student, teacher = see(model)
    sum(value for key, value in losses.items() if key.startswith("probe")).backward()
    references = [
        weakref.ref(tensor)
        for view in (student, teacher)
        for tensor in (*view.features, *view.backbone, *view.head_features.cls[0])
    ]
    del student, teacher, losses
    model.distill["probe"].seen.clear()
    gc.collect()
    assert all(reference() is None for reference in references)
    assert not any(module._forward_hooks for module in model.student.modules())


# --- no more of the teacher runs than is read -------------------------------


@pytest.mark.parametrize(
    ("reads", "runs"),
    [
        (["backbone"], {"backbone"}),
        (["backbone", "head", "images"], {"backbone"}),
        (["features"], {"backbone", "neck"}),
        (["features", "predictions"], {"backbone", "neck", "bbox_head"}),
    ],
)
def test_the_teacher_runs_just_what_is_read(reads, runs):
    model = build(probe(*reads))
    calls = count_calls(model)
    _, student, teacher = see(model)
    ran = {part for part in ("backbone", "neck", "bbox_head") if calls[f"teacher.{part}"]}
    assert ran == runs
    assert (student.images is not None) == ("images" in reads)
    assert (teacher.head is not None) == ("head" in reads)


def test_the_transformer_of_a_teacher_runs_only_for_its_queries():
    for reads, decoded in ((["features"], 0), (["queries"], 1)):
        model = build(
            probe(*reads), student=transformer("dino"), teacher=transformer("dino", width=8)
        )
        calls = count_calls(model)
        _, student, teacher = see(model)
        assert calls["teacher.decoder"] == decoded
        assert (teacher.queries is not None) == bool(decoded)
    assert student.queries.denoising is not None
    assert teacher.queries.denoising is None
    assert student.queries.cls_logits.shape == teacher.queries.cls_logits.shape


def test_pyramids_are_paired_only_for_what_is_compared_level_by_level():
    teacher = tiny.faster_rcnn(8, 16)
    model = build(probe("backbone"), teacher=teacher, allow_class_mismatch=True)
    assert see(model)[0]["probe.loss_probe"].isfinite()
    with pytest.raises(ValueError, match=r"different pyramids(.|\n)*level_map"):
        build(probe("features"), teacher=teacher)


@pytest.mark.parametrize(
    ("reads", "student", "need"),
    [
        ("queries", tiny.retinanet(), "a decoder of queries"),
        ("rois", tiny.retinanet(), "a second stage"),
        ("head_features", tiny.faster_rcnn(), "separate class and box towers"),
        ("predictions", transformer("detr"), "dense predictions"),
        ("head", transformer("detr"), "a dense head"),
    ],
)
def test_what_a_detector_does_not_give_is_refused(reads, student, need):
    with pytest.raises(
        UnsuitablePairError, match=rf"distill\.probe: needs {need}.*student"
    ) as error:
        build(probe(reads), student=student)
    assert error.value.needs == reads


def test_an_unknown_read_is_refused():
    with pytest.raises(ValueError, match=r"distill\.probe: .*reads names anchors; .*features"):
        build(probe("anchors"))


# --- what is seen -----------------------------------------------------------


def test_bins_deltas_and_distances_stand_beside_the_boxes():
    model = build(probe("predictions"), student=gfl(), teacher=gfl(8, 16))
    _, student, teacher = see(model)
    spec = model.distill["probe"].specs[0].head
    assert (spec.encoding, spec.bins) == ("bins", 6)
    assert student.predictions.encoding == teacher.predictions.encoding == "bins"
    for level, stride in enumerate((8, 16, 32)):
        bins = student.predictions.regression[level]
        batch, channels, height, width = bins.shape
        assert channels == 4 * 6
        # The expectation of each distribution is the distance from the centre, in strides.
        probability = bins.view(batch, 4, 6, height, width).softmax(dim=2)
        distance = (probability * torch.arange(6.0).view(1, 1, 6, 1, 1)).sum(2) * stride
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        corner = torch.stack([x * stride, y * stride]).float()
        expected = torch.cat([corner - distance[:, :2], corner + distance[:, 2:]], dim=1)
        boxes = student.predictions.boxes[level].view(batch, height, width, 4).permute(0, 3, 1, 2)
        assert_close(boxes, expected, rtol=1e-4, atol=1e-3)
    selected = student.select([2, 0]).predictions
    assert selected.regression[0] is student.predictions.regression[2]

    _, student, _ = see(build(probe("predictions")))
    assert student.predictions.encoding == "deltas"
    assert [level.shape[1] for level in student.predictions.regression] == [2 * 4] * 3


def test_ground_truth_has_labels_ignored_regions_and_sizes():
    model = build(probe("features"))
    data = tiny.batch(model, sizes=[(64, 48), (40, 64)])
    ignored = torch.tensor([[1.0, 2.0, 9.0, 12.0]])
    data["data_samples"][1].ignored_instances = InstanceData(
        bboxes=ignored, labels=torch.tensor([2])
    )
    labels = [sample.gt_instances.labels.clone() for sample in data["data_samples"]]
    boxes = [sample.gt_instances.bboxes.clone() for sample in data["data_samples"]]
    model(**data, mode="loss")
    ((student, teacher),) = model.distill["probe"].seen
    assert student.gt is teacher.gt
    gt = student.gt
    assert all(torch.equal(a, b) for a, b in zip(gt.labels, labels, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(gt.boxes, boxes, strict=True))
    assert gt.ignored[0].shape == (0, 4)
    assert torch.equal(gt.ignored[1], ignored)
    assert gt.image_sizes == ((64, 48), (40, 64))
    assert gt.input_size == (64, 64)


def test_tower_features_are_those_of_every_convolution_and_level():
    model = build(probe("head_features"))
    _, student, teacher = see(model)
    assert [len(tower) for tower in (student.head_features.cls, student.head_features.reg)] == [
        1,
        1,
    ]
    for level in range(3):
        conv = model.teacher.bbox_head.reg_convs[0]
        assert_close(teacher.head_features.reg[0][level], conv(teacher.features[level]))
    towers = model.distill["probe"].specs[1].head.towers
    assert (towers.cls_channels, towers.reg_channels) == ((16,), (16,))


def test_what_convolutions_give_before_their_activation_is_seen_where_a_term_asks():
    pair = dict(student=tiny.gfl(), teacher=tiny.gfl(8, 16))
    model = build(probe("features", "head_features", preactivations=[2]), **pair)
    losses, *views = see(model)
    for view, detector in zip(views, (model.student, model.teacher), strict=True):
        (depth, found), *others = view.head_features.preactivations.items()
        assert (depth, others) == (2, [])
        towers = (view.head_features.cls, view.head_features.reg)
        for task, levels, outputs in zip(("cls", "reg"), found, towers, strict=True):
            second = getattr(detector.bbox_head, f"{task}_convs")[1]
            for level, output, given in zip(levels, outputs[1], outputs[0], strict=True):
                assert_close(level, second.norm(second.conv(given)))
                assert_close(output, level.relu())
    assert model.distill["probe"].specs[0].head.towers.preactivations == {1, 2}
    assert found[0][0].requires_grad is False
    assert views[0].head_features.preactivations[2][0][0].requires_grad

    plain = build(probe("features", "head_features"), **pair)
    others, *views = see(plain)
    assert all(view.head_features.preactivations == {} for view in views)
    for key in others.keys() - {"probe.loss_probe"}:
        assert all(map(torch.equal, others[key], losses[key])), key


def test_level_maps_hold_for_all_that_is_seen_by_level():
    model = build(
        probe("features", "head_features", "predictions", "head", preactivations=[1]),
        level_map=[(2, 2), (0, 0)],
    )
    _, student, teacher = see(model)
    for view in (student, teacher):
        assert [level.shape[-1] for level in view.features] == [2, 8]
        assert [level.shape[-1] for level in view.head_features.cls[0]] == [2, 8]
        for tower in view.head_features.preactivations[1]:
            assert [level.shape[-1] for level in tower] == [2, 8]
        assert [level.shape[-1] for level in view.predictions.regression] == [2, 8]
        assert view.levels == (2, 0)
    features = teacher.head_features
    for given, preactivated in (
        ((features.cls[0], features.reg[0]), False),
        (features.preactivations[1], True),
    ):
        crossed = teacher.head.predict_from(1, *given, preactivated=preactivated)
        for own, other in zip(crossed.boxes, teacher.predictions.boxes, strict=True):
            assert_close(own, other)


def test_the_rest_of_the_teachers_head_teaches_the_students_towers():
    terms = dict(hd=None, tfd=None, crossed=dict(type="tbd.TestingCrossHead"))
    model = build(terms, student=gfl(), teacher=gfl(8, 16))
    calls = count_calls(model)
    losses = model(**tiny.batch(model), mode="loss")
    assert calls["student.bbox_head"] == calls["teacher.bbox_head"] == 1
    losses["crossed.loss_crossed"].backward()
    head = model.student.bbox_head
    for part in (model.student.backbone, head.cls_convs[0], head.reg_convs[0], model.distill):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    # The student's own predictors take no part.
    assert all(p.grad is None for p in head.gfl_cls.parameters())
    assert all(p.grad is None for p in model.teacher.parameters())


def test_what_terms_make_of_a_view_is_made_once(monkeypatch):
    made = []
    forward = HarmonyScoreHead.forward

    def counted(self, *args):
        made.append(self)
        return forward(self, *args)

    monkeypatch.setattr(HarmonyScoreHead, "forward", counted)
    model = build(tiny.wrapper()["distill"])
    model(**tiny.batch(model), mode="loss")
    assert len(made) == 2


def test_a_view_that_was_changed_makes_its_own():
    model = build(probe("features", "predictions"))
    _, student, _ = see(model)
    head = HarmonyScoreHead()
    maps = harmony_maps(student, head)
    assert harmony_maps(student, HarmonyScoreHead()) is maps
    assert harmony_maps(student, HarmonyScoreHead("sigmoid")) is not maps
    assert harmony_maps(replace(student), head) is not maps
    assert len(harmony_maps(student.select([1]), head).score) == 1


def test_the_teachers_images_are_normalised_as_its_own():
    teacher = tiny.retinanet(8, 16)
    teacher["data_preprocessor"] = tiny.preprocessor(mean=[0, 0, 0], std=[1, 1, 1])
    model = build(probe("images", "features"), teacher=teacher)
    _, student, other = see(model)
    spec = model.distill["probe"].specs[0].images
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    assert_close(other.images, student.images * std + mean, rtol=1e-3, atol=1e-2)
    assert spec.channel_order == "rgb"


def test_predictions_are_those_of_the_heads_adapter():
    model = build(probe("predictions"))
    _, _, teacher = see(model)
    expected = build_adapter(model.teacher.bbox_head)(model.teacher.bbox_head(teacher.features))
    for own, other in zip(teacher.predictions.boxes, expected.boxes, strict=True):
        assert torch.equal(own, other)
