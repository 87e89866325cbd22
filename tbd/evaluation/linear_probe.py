"""How much of the class a linear classifier reads from a code."""

import torch
from torch import Tensor
from torch.nn import functional as F


def linear_probe_accuracy(
    codes: Tensor, labels: Tensor, folds: int = 5, weight_decay: float = 1e-3
) -> float:
    """Accuracy of a linear classifier on codes that it was not fitted to.

    Multinomial logistic regression on standardised codes, cross-validated: each fold of the codes
    is classified by a probe that was fitted to the others. Fold k holds codes k, k + folds, ….

    Args:
        codes: [M, D], finite.
        labels: Class of each [M], counted from 0.
        folds: Number of folds, between 2 and M.
        weight_decay: λ of ½ λ‖W‖², which is added to the mean cross entropy.

    Returns:
        Share of codes that are classified correctly, in [0, 1].

    Raises:
        ValueError: if there are fewer codes than folds, or codes that are not finite.
    """
    if not 2 <= folds <= len(codes):
        raise ValueError(f"folds={folds} must be between 2 and the number of codes, {len(codes)}.")
    if not bool(torch.isfinite(codes).all()):
        raise ValueError("codes hold values that are not finite.")
    codes, labels = codes.double(), labels.long()
    fold = torch.arange(len(codes)) % folds
    correct = 0
    for number in range(folds):
        held_out = fold == number
        known = codes[~held_out]
        mean, deviation = known.mean(dim=0), known.std(dim=0).clamp(min=1e-12)
        weight = _fit((known - mean) / deviation, labels[~held_out], weight_decay)
        logits = _logits(weight, (codes[held_out] - mean) / deviation)
        correct += int((logits.argmax(dim=1) == labels[held_out]).sum())
    return correct / len(codes)


@torch.enable_grad()
def _fit(codes: Tensor, labels: Tensor, weight_decay: float) -> Tensor:
    """Weights [D + 1, K], biases last."""
    shape = (codes.shape[1] + 1, int(labels.max()) + 1)
    weight = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(_logits(weight, codes), labels)
        loss = loss + 0.5 * weight_decay * weight[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return weight.detach()


def _logits(weight: Tensor, codes: Tensor) -> Tensor:
    return codes @ weight[:-1] + weight[-1]
