"""Losses of features in half precision are those of the same numbers in float32."""

import pytest
import torch

from tbd.distill import (
    attention_loss,
    channel_wise_loss,
    cosine_feature_loss,
    focal_feature_loss,
    guided_box_loss,
    guided_classification_loss,
    imitation_loss,
    masked_generative_loss,
    pearson_feature_loss,
    score_weighted_feature_loss,
    target_aware_feature_loss,
    task_decoupled_feature_loss,
)

# Squares of such features, and sums over so many locations, are no numbers of float16.
SHAPE, MAP, SCALE = (2, 4, 200, 200), (2, 200, 200), 300.0


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MASK = random(*MAP, seed=2).abs()
LOSSES = {
    "CWD": lambda s, t, m: channel_wise_loss(s, t, 1.0),
    "MGD": lambda s, t, m: masked_generative_loss(s, t),
    "PKD": lambda s, t, m: pearson_feature_loss(s, t),
    "imitation": lambda s, t, m: imitation_loss(s, t, m, "sum"),
    "FGD": lambda s, t, m: focal_feature_loss(s, t, m, m, 0.5),
    "FGD, attention": lambda s, t, m: attention_loss(s, t, 0.5),
    "PGD, classes": lambda s, t, m: guided_classification_loss(s, t, m, m, 0.8),
    "PGD, boxes": lambda s, t, m: guided_box_loss(s, t, m, 0.8),
    "score-weighted": lambda s, t, m: score_weighted_feature_loss(s, t, m),
    "cosine": lambda s, t, m: cosine_feature_loss(s, t, m),
    "target-aware": lambda s, t, m: target_aware_feature_loss(s, t, t[:, :, 0].mT, m[:, 0]),
    "TFD": lambda s, t, m: task_decoupled_feature_loss(s, t, m, m, torch.ones(2, 2)),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_float32(name, dtype):
    half = [SCALE * random(*SHAPE, seed=seed) for seed in (0, 1)]
    half = [features.to(dtype) for features in (*half, MASK)]
    found = LOSSES[name](*half)
    expected = LOSSES[name](*(features.float() for features in half))
    for loss, wanted in zip(
        *(x if isinstance(x, tuple) else (x,) for x in (found, expected)), strict=True
    ):
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        torch.testing.assert_close(loss, wanted)
