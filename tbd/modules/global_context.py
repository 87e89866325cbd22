"""Global context blocks of a student and a teacher, which relate distant locations."""

import torch
from torch import Tensor, nn


class GlobalContextPair(nn.Module):
    """Two global context blocks, one for the student's features and one for the teacher's.

    R(F) = F + W_v2(ReLU(LN(W_v1(Σ_j softmax_j(W_k F_j) F_j)))); Cao et al.
    (arXiv 1904.11492), in Yang et al., "FGD" (arXiv 2111.11837), the relation of
    its global distillation. The layers are named as in FGD's public code, and
    the last of each block starts at zero, so that R starts as the identity.

    Args:
        channels: Channels of the features of both.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_mask_s, self.channel_add_conv_s = _block(channels)
        self.conv_mask_t, self.channel_add_conv_t = _block(channels)

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> tuple[Tensor, Tensor]:
        """Add its global context to either's features.

        Args:
            feat_s: [N, C, H, W].
            feat_t: [N, C, H, W].

        Returns:
            Both with their context, of the same shape.
        """
        return (
            feat_s + self.channel_add_conv_s(_context(feat_s, self.conv_mask_s)),
            feat_t + self.channel_add_conv_t(_context(feat_t, self.conv_mask_t)),
        )


def _block(channels: int) -> tuple[nn.Conv2d, nn.Sequential]:
    mask = nn.Conv2d(channels, 1, kernel_size=1)
    nn.init.kaiming_normal_(mask.weight, mode="fan_in", nonlinearity="relu")
    nn.init.zeros_(mask.get_parameter("bias"))
    hidden = max(channels // 2, 1)
    last = nn.Conv2d(hidden, channels, kernel_size=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    transform = nn.Sequential(
        nn.Conv2d(channels, hidden, kernel_size=1),
        nn.LayerNorm([hidden, 1, 1]),
        nn.ReLU(inplace=True),
        last,
    )
    return mask, transform


def _context(features: Tensor, mask: nn.Conv2d) -> Tensor:
    """Mean of the features over the locations, weighed by the mask: [N, C, 1, 1]."""
    weights = mask(features).flatten(2).softmax(dim=2)
    return torch.einsum("ncl,nl->nc", features.flatten(2), weights[:, 0])[:, :, None, None]
