import pytest
import torch

from tbd.harmony import HarmonyScoreHead, harmony_score
from tbd.predictions import DensePredictions


def predictions(boxes):
    """One level of 1×2 cells with 2 anchors; rows are (row, column, anchor)."""
    cls_logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 2, 1, 2)  # [N, anchor, h, w]
    return DensePredictions([cls_logits], 1, decode=lambda: [boxes])


def test_boxes_are_assigned_to_anchors_in_mmdetections_order():
    gt = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    # Row k covers k quarters of the ground truth.
    boxes = torch.stack([torch.tensor([0.0, 0.0, 10.0, 2.5 * k]) for k in range(1, 5)])[None]
    maps = HarmonyScoreHead()(predictions(boxes), [gt])
    # Cell 0 holds rows 0 (anchor 0) and 1 (anchor 1); cell 1 rows 2 and 3.
    expected = torch.tensor([[0.25, 0.75], [0.5, 1.0]]).view(1, 2, 1, 2)
    torch.testing.assert_close(maps.p_loc[0], expected)
    torch.testing.assert_close(maps.score[0], harmony_score(maps.p_cls[0], expected))


def test_boxes_are_decoded_once_and_lazily():
    calls = []
    dense = DensePredictions(
        [torch.zeros(1, 1, 1, 1)], 1, decode=lambda: calls.append(1) or [torch.zeros(1, 1, 4)]
    )
    assert not calls
    head = HarmonyScoreHead()
    head(dense, [torch.empty(0, 4)])
    head(dense, [torch.empty(0, 4)])
    assert calls == [1]


def test_per_location_takes_harmony_from_the_reduced_probabilities():
    boxes = torch.stack([torch.tensor([0.0, 0.0, 10.0, 2.5 * k]) for k in range(1, 5)])[None]
    maps = HarmonyScoreHead()(predictions(boxes), [torch.tensor([[0.0, 0.0, 10.0, 10.0]])])
    reduced = maps.per_location()
    p_cls = torch.maximum(maps.p_cls[0][:, :1], maps.p_cls[0][:, 1:])
    p_loc = torch.maximum(maps.p_loc[0][:, :1], maps.p_loc[0][:, 1:])
    assert torch.equal(reduced.score[0], harmony_score(p_cls, p_loc))


def test_unknown_norm_is_refused_when_built():
    with pytest.raises(ValueError, match="norm='max'"):
        HarmonyScoreHead("max")


def test_confidence_that_ranks_folds_the_quality_branch_in():
    quality = torch.tensor([1.0, -2.0, 0.5, 3.0]).view(1, 2, 1, 2)
    plain = predictions(torch.zeros(1, 4, 4))
    judged = DensePredictions(plain.cls_logits, 1, lambda: plain.boxes, quality=[quality])
    gts = [torch.empty(0, 4)]
    (ranking,) = HarmonyScoreHead("sigmoid", "ranking")(judged, gts).p_cls
    torch.testing.assert_close(ranking, plain.cls_logits[0].sigmoid() * quality.sigmoid())
    (by_class,) = HarmonyScoreHead("sigmoid")(judged, gts).p_cls
    torch.testing.assert_close(by_class, plain.cls_logits[0].sigmoid())


def test_unknown_confidence_is_refused_when_built():
    with pytest.raises(ValueError, match="confidence='score'"):
        HarmonyScoreHead("softmax", "score")


def test_levels_are_found_together_as_each_by_itself():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 6, 5, 4), (2, 6, 3, 2), (2, 6, 2, 1)]
    logits = [torch.randn(shape, generator=generator) for shape in shapes]
    corners = [25 * torch.rand(2, h * w * 3, 2, generator=generator) for _, _, h, w in shapes]
    boxes = [torch.cat([low, low + 10], dim=2).requires_grad_() for low in corners]
    gts = [torch.tensor([[0.0, 0.0, 20.0, 20.0], [15.0, 10.0, 40.0, 30.0]]), torch.empty(0, 4)]
    together = HarmonyScoreHead()(DensePredictions(logits, 2, lambda: boxes), gts)
    for level, (logit, box) in enumerate(zip(logits, boxes, strict=True)):
        alone = HarmonyScoreHead()(DensePredictions([logit], 2, lambda box=box: [box]), gts)
        assert torch.equal(together.score[level], alone.score[0])
        assert together.p_loc[level].stride() == alone.p_loc[0].stride()
        gradients = [
            torch.autograd.grad(maps.sum(), box, retain_graph=True)[0]
            for maps in (together.p_loc[level], alone.p_loc[0])
        ]
        assert gradients[0].abs().sum() > 0
        assert torch.equal(*gradients)
