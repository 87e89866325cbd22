"""From harmony maps to what pictures of them need."""

from mmdet.models.detectors.base import BaseDetector
from numpy import ndarray
from torch import Tensor

from tbd.predictions import find_dense_head


def map_arrays(levels: list[Tensor]) -> list[ndarray]:
    """The maps [1, 1, H, W] of one image's locations as arrays [H, W], level by level."""
    return [level[0, 0].float().cpu().numpy() for level in levels]


def map_strides(levels: list[Tensor], padded_height: int) -> list[int]:
    """Pixels per cell of each level of maps [N, A, H, W] that cover ``padded_height`` pixels."""
    return [round(padded_height / level.shape[-2]) for level in levels]


def cell_offset(detector: BaseDetector) -> float:
    """Where a cell's prior is centred, in cells from its upper left corner; 0.5 if unknown."""
    _, head = find_dense_head(detector)
    generator = getattr(head, "prior_generator", None)
    if generator is None:
        return 0.5
    prior = generator.grid_priors([(1, 1)] * len(generator.strides), device="cpu")[0][0]
    centre = (prior[0] + prior[2]) / 2 if len(prior) == 4 else prior[0]
    return float(centre / generator.strides[0][0])


def input_picture(pixels: Tensor) -> ndarray:
    """The image [H, W, 3], RGB, of a pipeline's [3, H, W], which MMDetection loads as BGR."""
    return pixels.flip(0).permute(1, 2, 0).cpu().numpy()
