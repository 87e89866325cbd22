"""The two halves of masked convolution, which computes the positions of a mask alone."""

import torch.nn.functional as F
from torch import Tensor


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Gather the windows of ``im`` [1, C, H, W] at the given rows and columns, stride 1.

    Writes ``col`` [C·kernel_h·kernel_w, positions].
    """
    padded = F.pad(im[0], (pad_w, pad_w, pad_h, pad_h))
    windows = padded.unfold(1, kernel_h, 1).unfold(2, kernel_w, 1)
    col.copy_(windows[:, mask_h_idx, mask_w_idx].permute(0, 2, 3, 1).reshape(col.shape))


def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write ``col`` [C, positions] to the given rows and columns of ``im`` [1, C, H, W]."""
    im[0, :, mask_h_idx, mask_w_idx] = col
