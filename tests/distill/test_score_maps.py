import torch
from torch.nn.functional import max_pool2d
from views import view

from tbd.distill.score_maps import score_maps
from tbd.predictions import DensePredictions


def predictions(*logits, background=False):
    return DensePredictions(list(logits), 3, lambda: [], background=background)


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_score_is_the_largest_sigmoid_of_any_anchor_and_class():
    logits = random(2, 2 * 3, 4, 5)
    (score,) = score_maps(view(predictions=predictions(logits)))
    torch.testing.assert_close(score, 1 / (1 + torch.exp(-logits.amax(dim=1))))


def test_the_background_of_a_softmax_is_no_score():
    logits = random(1, 2 * 4, 3, 3)
    (score,) = score_maps(view(predictions=predictions(logits, background=True)))
    powers = logits.exp().unflatten(1, (2, 4))
    expected = (powers[:, :, :3] / powers.sum(dim=2, keepdim=True)).amax(dim=(1, 2))
    torch.testing.assert_close(score, expected)


def test_the_score_that_ranks_has_the_objectness():
    logits, objectness = random(2, 2 * 3, 4, 5), 3 * random(2, 2, 4, 5).flip(3)
    teacher = view(predictions=DensePredictions([logits], 3, list, quality=[objectness]))
    by_class, by_rank = (score_maps(teacher, kind)[0] for kind in ("class", "ranking"))
    product = logits.unflatten(1, (2, 3)).sigmoid().amax(dim=2) * objectness.sigmoid()
    torch.testing.assert_close(by_rank, product.amax(dim=1))
    torch.testing.assert_close(by_class, logits.amax(dim=1).sigmoid())


def test_scores_are_brought_to_the_size_of_the_features_and_made_once():
    logits = random(1, 3, 8, 8)
    teacher = view(predictions=predictions(logits), resized_to=((4, 4),))
    (score,) = score_maps(teacher)
    torch.testing.assert_close(score, max_pool2d(logits.amax(dim=1).sigmoid(), 2))
    assert score_maps(teacher)[0] is score
