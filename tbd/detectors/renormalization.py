"""From the student's normalised images to what the teacher's preprocessor would have made."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor
from torch import Tensor


class InputRenormalization:
    """Maps a batch that one data preprocessor normalised to another's normalisation.

    Both normalise as (pixel − mean) / std, perhaps after swapping the order of
    the channels, and then pad; so the map is affine per channel inside each
    image, and the other's pad value outside it. The student's batch shape is
    kept.

    Args:
        source: Preprocessor that made the batch (the student's).
        target: Preprocessor to imitate (the teacher's).

    Raises:
        ValueError: if one of them is no ``ImgDataPreprocessor`` and they differ
            in type.
    """

    def __init__(self, source: BaseDataPreprocessor, target: BaseDataPreprocessor) -> None:
        for role, preprocessor in (("student", source), ("teacher", target)):
            if not isinstance(preprocessor, ImgDataPreprocessor):
                raise ValueError(
                    f"The {role}'s data_preprocessor {type(preprocessor).__name__} is no "
                    "ImgDataPreprocessor, so the teacher's input cannot be derived from the "
                    f"student's; set {role}_options.data_preprocessor to a DetDataPreprocessor."
                )
        source_mean, source_std = mean_and_std(source)
        target_mean, target_std = mean_and_std(target)
        self.swap_channels = _swaps(source) != _swaps(target)
        if self.swap_channels:
            source_mean, source_std = source_mean.flip(0), source_std.flip(0)
        self.scale = source_std / target_std
        self.shift = (source_mean - target_mean) / target_std
        self.pad_value = float(target.pad_value)
        self.is_identity = (
            not self.swap_channels
            and torch.equal(source_mean, target_mean)
            and torch.equal(source_std, target_std)
            and source.pad_value == target.pad_value
        )

    def __call__(self, inputs: Tensor, image_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Renormalise a batch.

        Args:
            inputs: The student's batch [N, 3, H, W].
            image_sizes: Height and width of each image inside the padding.

        Returns:
            The teacher's batch [N, 3, H, W]; ``inputs`` itself where the two
            preprocessors agree.
        """
        if self.is_identity:
            return inputs
        images = inputs.flip(1) if self.swap_channels else inputs
        shape = (1, -1, 1, 1)
        scale = self.scale.to(images).view(shape)
        shift = self.shift.to(images).view(shape)
        renormalized = torch.full_like(images, self.pad_value)
        for index, (height, width) in enumerate(image_sizes):
            inside = images[index : index + 1, :, :height, :width]
            renormalized[index, :, :height, :width] = (inside * scale + shift)[0]
        return renormalized


def mean_and_std(preprocessor: ImgDataPreprocessor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [3] of the normalisation; 0 and 1 where there is none."""
    if not preprocessor._enable_normalize:
        return torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    mean, std = (
        statistic.detach().cpu().double().flatten().expand(3)
        for statistic in (preprocessor.mean, preprocessor.std)
    )
    return mean, std


def _swaps(preprocessor: ImgDataPreprocessor) -> bool:
    return bool(preprocessor._channel_conversion)
