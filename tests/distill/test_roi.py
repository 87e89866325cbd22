import math

import pytest
import tiny
import torch
from views import view

from tbd.distill import RoIDistillation, roi_box_loss, roi_classification_loss
from tbd.predictions import RoIPredictions
from tbd.registry import MODELS

ROI = dict(hd=None, tfd=None, roi=dict(type="tbd.RoIDistillation"))


def build(**options):
    torch.manual_seed(0)
    options = (
        dict(student=tiny.faster_rcnn(), teacher=tiny.faster_rcnn(8, 16), distill=ROI) | options
    )
    model = MODELS.build(tiny.wrapper(**options))
    model.init_weights()
    return model.train()


def step(model, **data):
    torch.manual_seed(1)
    losses = model(**tiny.batch(model, **data), mode="loss")
    return losses["roi.loss_roi_cls"], losses["roi.loss_roi_bbox"]


def test_classification_loss_against_the_sum_over_proposals_and_classes():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64) * 3
    temperature = 2.0
    expected = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = ([math.exp(v / temperature) for v in row] for row in (t, s))
        p, q = ([v / sum(row) for v in row] for row in (p, q))
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    loss = roi_classification_loss(student, teacher, temperature)
    assert loss.item() == pytest.approx(temperature**2 * expected / 5, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda logits: roi_classification_loss(logits, teacher, temperature),
        student.clone().requires_grad_(),
    )


def test_box_loss_by_hand():
    boxes_s = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [5, 5, 6, 6]])
    boxes_t = torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1], [5, 5, 6, 6]])
    # IoU 2/6 in an enclosing box of 6: GIoU 1/3. No overlap, 2 of 3 enclosed: GIoU -1/3. Equal: 1.
    weight = torch.tensor([0.5, 0.25, 1.0])
    expected = (0.5 * (1 - 1 / 3) + 0.25 * (1 + 1 / 3)) / 1.75
    assert roi_box_loss(boxes_s, boxes_t, weight).item() == pytest.approx(expected, rel=1e-5)
    assert roi_box_loss(boxes_s, boxes_t, torch.zeros(3)).item() == 0


@pytest.mark.parametrize("shared", [False, True])
def test_the_box_of_the_teachers_best_class_counts_by_its_foreground_probability(shared):
    generator = torch.Generator().manual_seed(0)
    logits = [3 * torch.randn(6, 4, generator=generator) for _ in range(2)]
    low = 50 * torch.rand(2, 6, 3, 2, generator=generator)
    boxes = torch.cat([low, low + 20 + 30 * torch.rand(2, 6, 3, 2, generator=generator)], dim=3)
    # The student may have one box for all classes.
    decoded = boxes[0][:, :1] if shared else boxes[0], boxes[1]
    sides = [
        view(rois=(RoIPredictions(torch.zeros(6, 5), own, lambda found=found: found),))
        for own, found in zip(logits, decoded, strict=True)
    ]
    found = RoIDistillation(loss_weight=2.0, bbox_weight=3.0, temperature=2.0)(*sides)
    total = weights = 0.0
    for row in range(6):
        probability = logits[1][row].softmax(dim=0)
        best = probability[:3].argmax().item()
        apart = roi_box_loss(
            decoded[0][row, [0 if shared else best]], boxes[1][row, [best]], torch.ones(1)
        )
        total += (1 - probability[3]).item() * apart.item()
        weights += (1 - probability[3]).item()
    assert found["loss_roi_bbox"].item() == pytest.approx(2 * 3 * total / weights, rel=1e-5)
    expected = 2 * roi_classification_loss(*logits, 2.0)
    torch.testing.assert_close(found["loss_roi_cls"], expected)


def test_losses_of_no_proposal_are_zero():
    assert roi_classification_loss(torch.empty(0, 4), torch.empty(0, 4), 1.0).item() == 0
    assert roi_box_loss(torch.empty(0, 4), torch.empty(0, 4), torch.empty(0)).item() == 0


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\[5, 4\].*\[5, 3\]"):
        roi_classification_loss(torch.zeros(5, 4), torch.zeros(5, 3), 1.0)
    with pytest.raises(ValueError, match=r"weight \[4\]"):
        roi_box_loss(torch.zeros(5, 4), torch.zeros(5, 4), torch.zeros(4))


@pytest.mark.parametrize("config", [tiny.faster_rcnn, tiny.cascade_rcnn])
def test_nothing_is_left_to_learn_from_a_teacher_of_the_same_weights(config):
    model = build(student=config(), teacher=config())
    model.teacher.load_state_dict(model.student.state_dict())
    assert all(abs(loss.item()) < 1e-5 for loss in step(model))
    for parameter in model.student.roi_head.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    assert all(loss.item() > 1e-4 for loss in step(model))


@pytest.mark.parametrize("student", [tiny.faster_rcnn, tiny.cascade_rcnn])
@pytest.mark.parametrize("teacher", [tiny.faster_rcnn, tiny.cascade_rcnn])
def test_gradients_reach_every_stage_of_the_student_and_none_of_the_teacher(student, teacher):
    model = build(student=student(), teacher=teacher(8, 16))
    sum(step(model)).backward()
    heads = model.student.roi_head.bbox_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        assert head.fc_cls.weight.grad.abs().sum() > 0
        assert head.fc_reg.weight.grad.abs().sum() > 0
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.teacher.parameters())


def test_images_without_ground_truth_are_learned_from_too():
    losses = step(build(), boxes=0)
    assert all(loss.isfinite() for loss in losses)
    assert losses[0] > 0


def test_a_cascade_that_runs_out_of_proposals_learns_from_the_stages_that_ran(monkeypatch):
    model = build(student=tiny.cascade_rcnn(), teacher=tiny.cascade_rcnn(8, 16))
    whole = step(model)
    # What the first stage returns where no box is left: MMDetection then skips the second.
    monkeypatch.setattr(model.student.roi_head.bbox_head[0], "refine_bboxes", lambda *_: None)
    part = step(model)
    assert all(0 < a < b for a, b in zip(part, whole, strict=True))


def test_losses_scale_with_their_weights():
    plain = step(build())
    scaled = step(build(distill=dict(roi=ROI["roi"] | dict(loss_weight=2.0, bbox_weight=3.0))))
    assert scaled[0].item() == pytest.approx(2 * plain[0].item(), rel=1e-5)
    assert scaled[1].item() == pytest.approx(6 * plain[1].item(), rel=1e-5)


def test_one_stage_detectors_have_no_second_stage_to_distill():
    with pytest.raises(ValueError, match=r"distill\.roi: .*second stage.*student.*no roi_head"):
        build(student=tiny.retinanet(), teacher=tiny.retinanet())
    with pytest.raises(ValueError, match=r"distill\.roi: .*the teacher does not give"):
        build(teacher=tiny.retinanet(), level_map=[(1, 0)])


def test_class_counts_that_differ_are_refused_even_if_allowed_elsewhere():
    with pytest.raises(ValueError, match=r"distill\.roi: .*3 classes.*teacher's .* 4"):
        build(teacher=tiny.faster_rcnn(classes=4), allow_class_mismatch=True)


@pytest.mark.parametrize(
    "options", [dict(temperature=0.0), dict(bbox_weight=-1.0), dict(bbox_weight=math.inf)]
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=rf"distill\.roi: .*{next(iter(options))}="):
        build(distill=dict(roi=ROI["roi"] | options))
