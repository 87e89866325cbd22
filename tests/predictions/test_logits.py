import pytest
import torch

from tbd.predictions.logits import logits_of


def test_sigmoid_undoes_it():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(1000, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(logits_of(logits.sigmoid()), logits)
    torch.testing.assert_close(
        logits_of(logits.float().sigmoid()).sigmoid(), logits.sigmoid().float()
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_rounded_probabilities_keep_their_order_and_a_finite_gradient(dtype):
    probability = torch.tensor([-200.0, -50, -8, 0, 3, 8, 50]).sigmoid().to(dtype)
    probability.requires_grad_()
    logits = logits_of(probability)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert (logits.diff() >= 0).all()
    logits.sum().backward()
    assert probability.grad.isfinite().all()
    assert (probability.grad[2:5] > 0).all()
