import numpy as np
import pytest
import torch

from tbd.modules import TaskWeightGenerator


def test_forward_equals_the_layers_in_numpy():
    generator = TaskWeightGenerator(hidden_channels=5)
    maps = torch.rand(3, 4, 6, 7)
    pooled = maps.numpy().mean(axis=(2, 3))
    w1, b1 = (p.detach().numpy() for p in generator.fc1.parameters())
    w2, b2 = (p.detach().numpy() for p in generator.fc2.parameters())
    out = np.maximum(pooled @ w1.T + b1, 0) @ w2.T + b2
    expected = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(generator(maps).detach().numpy(), expected, rtol=1e-5)


def test_default_width_and_its_lower_bound():
    assert TaskWeightGenerator().fc1.out_features == 16
    with pytest.raises(ValueError, match="hidden_channels=0"):
        TaskWeightGenerator(0)
