import pytest
import torch

from tbd.predictions import DensePredictions


def predictions(cls_logits, quality, exponent=1.0, classes=3):
    return DensePredictions(
        [cls_logits], classes, list, quality=[quality], quality_exponent=exponent
    )


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_sigmoid_of_the_ranking_logit_is_the_product_that_ranks(exponent):
    generator = torch.Generator().manual_seed(0)
    cls_logits = 4 * torch.randn(2, 2 * 3, 5, 4, generator=generator, dtype=torch.float64)
    quality = 4 * torch.randn(2, 2, 5, 4, generator=generator, dtype=torch.float64)
    (ranking,) = predictions(cls_logits, quality, exponent).ranking_logits
    for anchor in range(2):
        for k in range(3):
            channel = 3 * anchor + k
            product = cls_logits[:, channel].sigmoid() * quality[:, anchor].sigmoid()
            torch.testing.assert_close(ranking[:, channel].sigmoid(), product**exponent)


def test_extreme_logits_keep_their_order_and_a_finite_gradient():
    cls_logits = torch.tensor([-1e4, -80.0, 0.0, 15.0, 80.0, 1e4]).view(1, 1, 1, 6)
    cls_logits.requires_grad_()
    for quality in (-100.0, 0.0, 100.0):
        (ranking,) = predictions(
            cls_logits, torch.full((1, 1, 1, 6), quality), classes=1
        ).ranking_logits
        assert ranking.isfinite().all()
        assert (ranking.diff() >= 0).all()
        (gradient,) = torch.autograd.grad(ranking.sum(), cls_logits)
        assert gradient.isfinite().all()


def test_without_a_quality_branch_the_class_logits_rank():
    logits = [torch.zeros(1, 3, 2, 2)]
    assert DensePredictions(logits, 3, list).ranking_logits is logits


def test_selected_levels_decode_with_the_whole():
    calls = []

    def decode():
        calls.append(1)
        return [torch.full((1, 4, 4), float(level)) for level in range(3)]

    logits = [torch.full((1, 3, 2, 2), float(level)) for level in range(3)]
    whole = DensePredictions(logits, 3, decode, quality=[level[:, :1] for level in logits])
    part = whole.select([2, 0])
    assert calls == []
    assert [level[0, 0, 0].item() for level in part.boxes] == [2, 0]
    assert [level[0, 0, 0, 0].item() for level in part.cls_logits] == [2, 0]
    assert [level[0, 0, 0, 0].item() for level in part.quality] == [2, 0]
    assert part.num_classes == 3
    _ = whole.boxes
    assert calls == [1]


def test_quality_beside_a_softmax_classifier_is_refused():
    with pytest.raises(ValueError, match="softmax"):
        DensePredictions(
            [torch.zeros(1, 4, 1, 1)], 3, list, background=True, quality=[torch.zeros(1, 1, 1, 1)]
        )
