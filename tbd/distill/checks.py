"""Checks of the settings of terms and of the arguments of their losses."""

import math

from torch import Tensor


def check_same_shape(**tensors: Tensor) -> None:
    """Make sure that two tensors, given by name, have one shape.

    Raises:
        ValueError: if they have not, naming both.
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = " and ".join(f"{name} {list(t.shape)}" for name, t in tensors.items())
        raise ValueError(f"{shapes} must have one shape.")


def check_positive(**numbers: float) -> None:
    """Make sure that settings, given by name, are finite and positive.

    Raises:
        ValueError: if one is not, naming it.
    """
    for name, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name}={number} must be finite and positive.")


def check_not_negative(**numbers: float) -> None:
    """Make sure that settings, given by name, are finite and not negative.

    Raises:
        ValueError: if one is not, naming it.
    """
    for name, number in numbers.items():
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"{name}={number} must be finite and not negative.")


def check_has_effect(because: str, **options: tuple[object, object]) -> None:
    """Make sure that settings, given by name as (value, default), are not set in vain.

    Args:
        because: Why they would have no effect, such as ``"with region='all'"``.
        **options: The settings.

    Raises:
        ValueError: if one is not its default, naming it.
    """
    for name, (value, default) in options.items():
        if value != default:
            raise ValueError(f"{name}={value!r} has no effect {because}; leave it out.")


def check_feature_maps(feat_s: Tensor, feat_t: Tensor) -> None:
    """Refuse features that would be broadcast.

    Raises:
        ValueError: if the shapes differ or are not [N, C, H, W].
    """
    if feat_s.shape != feat_t.shape or feat_s.dim() != 4:
        raise ValueError(
            f"feat_s {list(feat_s.shape)} and feat_t {list(feat_t.shape)} must have one shape "
            "[N, C, H, W]."
        )
