import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tbd.evaluation.linear_probe import linear_probe_accuracy


def clusters(count=120, spread=0.6, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    centres = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    return centres[labels] + spread * rng.standard_normal((count, 2)), labels


def reference(codes, labels, folds, weight_decay):
    """The same probe, fitted by SciPy."""
    classes, correct = labels.max() + 1, 0
    for fold in range(folds):
        held_out = np.arange(len(codes)) % folds == fold
        mean, std = codes[~held_out].mean(axis=0), codes[~held_out].std(axis=0, ddof=1)
        x = np.c_[(codes - mean) / std, np.ones(len(codes))]

        def objective(flat, x=x, known=~held_out):
            weight = flat.reshape(-1, classes)
            logits = x[known] @ weight
            picked = logits[np.arange(known.sum()), labels[known]]
            loss = (np.log(np.exp(logits).sum(axis=1)) - picked).mean()
            return loss + 0.5 * weight_decay * (weight[:-1] ** 2).sum()

        weight = minimize(objective, np.zeros(x.shape[1] * classes)).x.reshape(-1, classes)
        correct += ((x[held_out] @ weight).argmax(axis=1) == labels[held_out]).sum()
    return correct / len(codes)


# In other units the weight decay would count differently, were codes not standardised.
@pytest.mark.parametrize("units", [(1.0, 1.0), (50.0, 0.02)])
@pytest.mark.parametrize("decay", [0.01, 1.0])
def test_accuracy_equals_that_of_a_probe_fitted_by_scipy(units, decay):
    codes, labels = clusters()
    found = linear_probe_accuracy(torch.tensor(codes * units), torch.tensor(labels), 4, decay)
    assert found == reference(codes, labels, 4, decay)
    assert 0.7 < found < 1


def test_separable_codes_are_read_and_noise_is_not():
    codes, labels = clusters(spread=0.05)
    assert linear_probe_accuracy(torch.tensor(codes), torch.tensor(labels)) == 1.0
    noise = torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    assert linear_probe_accuracy(noise, torch.arange(600) // 5 % 3) < 0.45


def test_a_constant_number_of_the_code_does_no_harm():
    codes, labels = clusters(spread=0.05)
    codes = np.c_[codes, np.ones(len(codes))]
    assert linear_probe_accuracy(torch.tensor(codes), torch.tensor(labels)) == 1.0


def test_too_few_or_broken_codes_are_errors():
    with pytest.raises(ValueError, match=r"folds=5 .* 3"):
        linear_probe_accuracy(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="not finite"):
        linear_probe_accuracy(torch.full((9, 2), float("nan")), torch.zeros(9))
