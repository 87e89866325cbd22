import math

import pytest
import torch
from torchvision.ops import box_iou

from tbd.harmony import (
    classification_probability,
    harmony_score,
    harmony_weight,
    localization_probability,
)


def logits(anchors=2, classes=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, anchors * classes, 3, 4, generator=generator, dtype=dtype)


def naive_max_logit(cls_logits, classes, foreground):
    """m[n][a][i][j] by plain loops over MMDetection's channel layout."""
    batch, channels, height, width = cls_logits.shape
    anchors = channels // classes
    best = torch.empty(batch, anchors, height, width, dtype=cls_logits.dtype)
    for n in range(batch):
        for a in range(anchors):
            for i in range(height):
                for j in range(width):
                    best[n, a, i, j] = max(
                        cls_logits[n, a * classes + k, i, j].item() for k in range(foreground)
                    )
    return best


def random_boxes(*shape, seed=0, size=64.0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(*shape, 2, 2, generator=generator, dtype=torch.float64) * size
    low, high = corners.amin(-2), corners.amax(-2)
    return torch.cat([low, high + 1], dim=-1)


def naive_iou(box, target):
    width = min(box[2], target[2]) - max(box[0], target[0])
    height = min(box[3], target[3]) - max(box[1], target[1])
    intersection = max(width, 0) * max(height, 0)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, target))
    return intersection / (areas - intersection)


def test_softmax_norm_is_the_loop_over_all_predictions_of_an_image():
    raw = logits()
    best = naive_max_logit(raw, 3, 3)
    result = classification_probability(raw, 3)
    for n in range(2):
        total = sum(math.exp(value) for value in best[n].flatten().tolist())
        torch.testing.assert_close(result[n], best[n].exp() / total)


def test_peak_norm_is_softmax_over_its_maximum():
    raw = logits()
    softmax = classification_probability(raw, 3, "softmax")
    peak = classification_probability(raw, 3, "peak")
    torch.testing.assert_close(peak, softmax / softmax.amax((1, 2, 3), keepdim=True))
    assert torch.equal(peak.amax((1, 2, 3)), torch.ones(2, dtype=raw.dtype))


def test_sigmoid_norm_is_the_largest_class_score():
    raw = logits()
    best = naive_max_logit(raw, 3, 3)
    torch.testing.assert_close(classification_probability(raw, 3, "sigmoid"), best.sigmoid())


@pytest.mark.parametrize("norm", ["softmax", "peak"])
def test_background_logit_takes_no_part_in_the_maximum(norm):
    raw = logits(classes=4)
    foreground = raw.unflatten(1, (2, 4))[:, :, :3].flatten(1, 2)
    torch.testing.assert_close(
        classification_probability(raw, 3, norm, background=True),
        classification_probability(foreground, 3, norm),
    )


def test_sigmoid_norm_of_a_softmax_classifier_is_its_largest_foreground_probability():
    raw = logits(classes=4)
    expected = raw.unflatten(1, (2, 4)).softmax(2)[:, :, :3].amax(2)
    result = classification_probability(raw, 3, "sigmoid", background=True)
    torch.testing.assert_close(result, expected)


def test_half_precision_is_computed_in_float32():
    raw = logits().half()
    result = classification_probability(raw, 3)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, classification_probability(raw.float(), 3))


def test_extreme_logits_stay_finite():
    raw = torch.tensor([1e4, -1e4, 0.0, 50.0]).view(1, 1, 2, 2).requires_grad_()
    for norm in ("softmax", "peak", "sigmoid"):
        result = classification_probability(raw, 1, norm)
        (gradient,) = torch.autograd.grad(result.sum(), raw)
        assert result.isfinite().all()
        assert gradient.isfinite().all()


def test_unknown_norm_lists_those_that_exist():
    with pytest.raises(ValueError, match="softmax, peak, sigmoid"):
        classification_probability(logits(), 3, "minmax")


def test_channels_must_be_a_multiple_of_the_classes():
    with pytest.raises(ValueError, match=r"6 channels.*4 channels of one anchor"):
        classification_probability(logits(), 4)


def test_localization_probability_is_the_loop_over_ground_truths():
    boxes = random_boxes(2, 7)
    gts = [random_boxes(3, seed=1), random_boxes(1, seed=2)]
    result = localization_probability(boxes, gts)
    for n in range(2):
        for m in range(7):
            best = max(naive_iou(boxes[n, m].tolist(), gt.tolist()) for gt in gts[n])
            assert result[n, m].item() == pytest.approx(best, abs=1e-12)


def test_image_without_ground_truth_has_probability_zero():
    boxes = random_boxes(2, 5).requires_grad_()
    result = localization_probability(boxes, [random_boxes(2, seed=3), torch.empty(0, 4)])
    assert torch.equal(result[1], torch.zeros(5, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(result.sum(), boxes)
    assert not gradient[1].any()


def test_degenerate_and_outside_boxes_are_finite():
    boxes = torch.tensor([[[5.0, 5, 5, 5], [0, 0, 10, 10], [8, 8, 2, 2]]])
    gts = [torch.tensor([[5.0, 5, 5, 5], [-100, -100, -90, -90], [200, 200, 210, 210]])]
    assert torch.equal(localization_probability(boxes, gts), torch.zeros(1, 3))


def test_boxes_without_overlap_change_no_value_and_no_gradient():
    boxes = random_boxes(1, 40, seed=4, size=200.0).requires_grad_()
    gt = random_boxes(5, seed=5)
    expected = box_iou(boxes[0], gt).max(dim=1).values
    assert 5 < int((expected > 0).sum()) < 35
    result = localization_probability(boxes, [gt])[0]
    torch.testing.assert_close(result, expected)
    weight = torch.linspace(1, 2, 40, dtype=torch.float64)
    found, full = (torch.autograd.grad((weight * p).sum(), boxes)[0] for p in (result, expected))
    torch.testing.assert_close(found, full)
    (gradient,) = torch.autograd.grad(localization_probability(boxes + 500, [gt]).sum(), boxes)
    assert not gradient.any()


def test_a_box_that_is_not_finite_is_not_taken_for_one_without_overlap():
    boxes = torch.tensor([[[float("nan"), 0, 10, 10], [0, 0, 10, 10]]])
    found = localization_probability(boxes, [torch.tensor([[0.0, 0, 10, 10]])])
    assert found[0, 0].isnan()
    assert found[0, 1] == 1


def test_search_in_chunks_changes_nothing(monkeypatch):
    boxes, gts = random_boxes(1, 50), [random_boxes(6, seed=4)]
    whole = localization_probability(boxes, gts)
    monkeypatch.setattr("tbd.harmony.functional._MAX_PAIRS", 20)
    assert torch.equal(localization_probability(boxes, gts), whole)


def test_graph_does_not_grow_with_the_number_of_ground_truths():
    def saved(count):
        sizes = []
        boxes = random_boxes(1, 100).requires_grad_()
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
        )
        # Which every box overlaps, so that none is left out.
        everywhere = torch.tensor([[-99.0, -99, 199, 199]], dtype=torch.float64)
        with hooks:
            gt = torch.cat([everywhere, random_boxes(count, seed=5)])
            localization_probability(boxes, [gt])
        return sum(sizes)

    assert saved(500) == saved(2)


def test_counts_of_images_must_agree():
    with pytest.raises(ValueError, match="2 images and gt_boxes 1"):
        localization_probability(random_boxes(2, 3), [torch.empty(0, 4)])


def test_harmony_score_by_hand():
    score = harmony_score(torch.tensor([0.5, 0.0, 1.0]), torch.tensor([0.5, 1.0, 0.75]))
    expected = [1.0, 1 - math.tanh(1.0), 1 - math.tanh(0.25)]
    torch.testing.assert_close(score, torch.tensor(expected))


def test_harmony_weight_by_hand_and_without_gradient():
    p_loc_t, p_cls_t = torch.tensor([0.8, 0.0]), torch.tensor([0.9, 0.3])
    p_cls_s = torch.tensor([0.4, 0.1], requires_grad=True)
    weight = harmony_weight(p_loc_t, p_cls_t, p_cls_s)
    torch.testing.assert_close(weight, torch.tensor([0.8 * math.sqrt(1.5), 0.0]))
    assert not weight.requires_grad


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match=r"p_cls \[2, 1\] and p_loc \[2, 3\]"):
        harmony_score(torch.zeros(2, 1), torch.zeros(2, 3))


@pytest.mark.parametrize("norm", ["softmax", "peak", "sigmoid"])
def test_gradients_equal_finite_differences(norm):
    gts = [random_boxes(3, seed=7), random_boxes(2, seed=8)]

    def score(cls_logits, boxes):
        p_loc = localization_probability(boxes, gts).view(2, 3, 4, 2).permute(0, 3, 1, 2)
        return harmony_score(classification_probability(cls_logits, 3, norm), p_loc)

    inputs = (logits().requires_grad_(), random_boxes(2, 24, seed=9).requires_grad_())
    assert torch.autograd.gradcheck(score, inputs)
