"""RoIAlign and RoIPool.

RoIs are [R, 5]: index of the image, then (x1, y1, x2, y2) in the image; ``spatial_scale`` takes
them to the feature map. Features are [N, C, H, W], pooled features [R, C, height, width].
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from tbd.compat.ops.precision import computable

_MAX = 0


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign, https://arxiv.org/abs/1703.06870, by average or by maximum over the samples.

    Fills ``output``, and for the maximum ``argmax_y`` and ``argmax_x`` with the row and column
    of the largest sample within its bin. An RoI without area has no samples and gives 0.

    Raises:
        ValueError: If ``aligned`` and an RoI ends before it begins. Only on the CPU, as in
            mmcv: a GPU would have to be waited for.
    """
    x = computable(input)
    rois = rois.to(x.dtype)
    if aligned and rois.device.type == "cpu" and (rois[:, 3:] < rois[:, 1:3]).any():
        raise ValueError("RoIAlign got an RoI with x2 < x1 or y2 < y1")
    size = (aligned_height, aligned_width)
    if pool_mode != _MAX:
        output.copy_(
            torch.ops.torchvision.roi_align(x, rois, spatial_scale, *size, sampling_ratio, aligned)
        )
        return
    for group, grid in _by_sampling_grid(rois, size, spatial_scale, sampling_ratio, aligned):
        # One output per sample, so that the maximum over a bin can be taken here.
        fine = (size[0] * grid[0], size[1] * grid[1])
        samples = torch.ops.torchvision.roi_align(x, rois[group], spatial_scale, *fine, 1, aligned)
        bins = samples.view(*samples.shape[:2], size[0], grid[0], size[1], grid[1])
        value, index = bins.transpose(3, 4).flatten(4).max(dim=-1)
        output[group] = value.to(output.dtype)
        argmax_y[group] = (index // grid[1]).to(argmax_y.dtype)
        argmax_x[group] = (index % grid[1]).to(argmax_x.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward`, added to ``grad_input``."""
    grad = computable(grad_output)
    rois = rois.to(grad.dtype)
    size = (aligned_height, aligned_width)
    backward = torch.ops.torchvision._roi_align_backward
    if pool_mode != _MAX:
        grad_input += backward(
            grad, rois, spatial_scale, *size, *grad_input.shape, sampling_ratio, aligned
        )
        return
    for group, grid in _by_sampling_grid(rois, size, spatial_scale, sampling_ratio, aligned):
        fine = (size[0] * grid[0], size[1] * grid[1])
        index = argmax_y[group].long() * grid[1] + argmax_x[group].long()
        bins = grad.new_zeros((*index.shape, grid[0] * grid[1]))
        bins.scatter_(-1, index[..., None], grad[group][..., None])
        samples = bins.unflatten(-1, grid).transpose(3, 4).reshape(*index.shape[:2], *fine)
        grad_input += backward(
            samples, rois[group], spatial_scale, *fine, *grad_input.shape, 1, aligned
        )


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """RoIPool, https://arxiv.org/abs/1504.08083: the maximum over each bin of an RoI.

    An RoI includes its last pixel and is not rounded to whole cells of the feature map; its
    bins are, outwards. (torchvision's ``roi_pool`` rounds the RoI instead.) Fills ``output``,
    and ``argmax`` with row · W + column of the maximum; an empty bin gives 0 and −1.
    """
    x = computable(input)
    rois = rois.to(x.dtype)
    top, bottom = _bin_edges(rois[:, 2], rois[:, 4], pooled_height, spatial_scale, x.shape[2])
    left, right = _bin_edges(rois[:, 1], rois[:, 3], pooled_width, spatial_scale, x.shape[3])

    # Each bin as an RoI of its own, [R, height, width, 5]: whole cells and its last one
    # included, torchvision pools exactly those.
    shape = (len(rois), pooled_height, pooled_width)
    corners = (left[:, None, :], top[:, :, None], right[:, None, :] - 1, bottom[:, :, None] - 1)
    bins = torch.stack([edge.expand(shape) for edge in (rois[:, 0, None, None], *corners)], dim=-1)
    empty = (bins[..., 3:] < bins[..., 1:3]).any(dim=-1)
    pooled = torch.ops.torchvision.roi_pool(x, bins.reshape(-1, 5), 1.0, 1, 1)
    for value, buffer, fill in zip(pooled, (output, argmax), (0, -1), strict=True):
        value = value.view(*shape, x.shape[1]).masked_fill(empty[..., None], fill)
        buffer.copy_(value.permute(0, 3, 1, 2))


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Gradient of :func:`roi_pool_forward`, added to ``grad_input``."""
    grad = computable(grad_output)
    grad_input += torch.ops.torchvision._roi_pool_backward(
        grad,
        rois.to(grad.dtype),
        argmax,
        spatial_scale,
        pooled_height,
        pooled_width,
        *grad_input.shape,
    )


def _by_sampling_grid(
    rois: Tensor,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    """Yield the indices of the RoIs that take the same number of samples (y, x) per bin."""
    if sampling_ratio > 0:
        grids = rois.new_full((len(rois), 2), sampling_ratio)
    else:
        shift = 0.5 if aligned else 0.0
        extent = (rois[:, 3:] * spatial_scale - shift) - (rois[:, 1:3] * spatial_scale - shift)
        if not aligned:
            extent = extent.clamp(min=1)
        grids = (extent.flip(1) / extent.new_tensor(size)).ceil()
    for grid in grids.long().unique(dim=0):
        if (grid > 0).all():
            rows, columns = grid.tolist()
            yield (grids == grid).all(dim=1).nonzero().squeeze(1), (rows, columns)


def _bin_edges(
    start: Tensor, stop: Tensor, count: int, spatial_scale: float, limit: int
) -> tuple[Tensor, Tensor]:
    """First cell of each bin of an RoI and the cell after its last one, both [R, count]."""
    start = start[:, None] * spatial_scale
    extent = (stop[:, None] + 1) * spatial_scale - start
    step = torch.arange(count, device=start.device, dtype=start.dtype)
    first = (step * (extent / count) + start).floor().clamp(0, limit)
    after = ((step + 1) * (extent / count) + start).ceil().clamp(0, limit)
    return first, torch.where(extent > 0, after, first)
