import math

import pytest
import torch

from tbd.distill.attention import (
    channel_attention,
    local_channel_attention,
    spatial_attention,
)


def features(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def softmax(values, temperature):
    powers = [math.exp(value / temperature) for value in values]
    return [len(values) * power / sum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_attention_equals_the_formula_in_loops(temperature):
    values = features(2, 3, 4, 5)
    absolute = values.abs().tolist()
    for n in range(2):
        spatial = softmax(
            [sum(absolute[n][c][i][j] for c in range(3)) / 3 for i in range(4) for j in range(5)],
            temperature,
        )
        channels = softmax(
            [sum(absolute[n][c][i][j] for i in range(4) for j in range(5)) / 20 for c in range(3)],
            temperature,
        )
        local = softmax([absolute[n][c][1][2] for c in range(3)], temperature)
        assert spatial_attention(values, temperature)[n].flatten().tolist() == pytest.approx(
            spatial
        )
        assert channel_attention(values, temperature)[n].tolist() == pytest.approx(channels)
        found = local_channel_attention(values, temperature)[n, :, 1, 2]
        assert found.tolist() == pytest.approx(local)


def test_a_single_location_has_all_the_attention():
    assert (spatial_attention(features(2, 3, 1, 1), 0.5) == 1).all()
