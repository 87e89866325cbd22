"""Sigmoid and softmax focal loss, https://arxiv.org/abs/1708.02002, without reduction.

``target`` [N] holds class indices. Negative ones, and for the sigmoid loss also the number of
classes C, mean background. ``weight`` [C] scales each row by its target's entry, or is empty.
All is computed in float32 or, for such input, float64.
"""

import torch
from torch import Tensor

# The bound within the logarithm; FLT_MIN of the CUDA kernels, in double precision too.
_TINY = torch.finfo(torch.float32).tiny


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Loss of logits ``input`` [N, C], written to ``output`` [N, C]."""
    p, positive = _sigmoid(input, target)
    loss = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * _log(p),
        -(1 - alpha) * p**gamma * _log(1 - p),
    )
    output.copy_(loss * _row_weights(weight, target)[:, None])


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Derivative of each loss with respect to its logit, written to ``grad_input`` [N, C]."""
    p, positive = _sigmoid(input, target)
    q = 1 - p
    gradient = torch.where(
        positive,
        -alpha * q**gamma * (q - gamma * p * _log(p)),
        -(1 - alpha) * p**gamma * (gamma * q * _log(q) - p),
    )
    grad_input.copy_(gradient * _row_weights(weight, target)[:, None])


def softmax_focal_loss_forward(
    softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Loss of probabilities ``softmax`` [N, C], written to ``output`` [N]."""
    p = _target_probability(softmax, target)
    loss = -alpha * (1 - p) ** gamma * _log(p)
    output.copy_(torch.where(target >= 0, loss, 0) * _row_weights(weight, target))


def softmax_focal_loss_backward(
    softmax: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Derivative of each loss with respect to the logits, written to ``grad_input`` [N, C].

    ``buff`` [N] receives the derivative with respect to the logarithm of p.
    """
    p = _target_probability(softmax, target)
    slope = alpha * (gamma * (1 - p) ** (gamma - 1) * p * _log(p) - (1 - p) ** gamma)
    slope = torch.where(target >= 0, slope, 0) * _row_weights(weight, target)
    buff.copy_(slope)
    classes = torch.arange(softmax.shape[1], device=softmax.device)
    hit = (target[:, None] == classes).to(p.dtype)
    grad_input.copy_(slope[:, None] * (hit - softmax))


def _sigmoid(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities, and which of them are of the target's class."""
    classes = torch.arange(input.shape[1], device=input.device)
    return _widened(input).sigmoid(), target[:, None] == classes


def _target_probability(softmax: Tensor, target: Tensor) -> Tensor:
    return _widened(softmax).gather(1, target.clamp(min=0)[:, None]).squeeze(1)


def _row_weights(weight: Tensor, target: Tensor) -> Tensor:
    if weight.numel() == 0:
        return torch.ones((), device=target.device).expand(len(target))
    return weight[target.clamp(min=0)]


def _widened(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype is torch.float64 else tensor.float()


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=_TINY).log()
