"""Checks of the settings of terms, and of the features and maps that their losses take."""

from torch import Tensor


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


def check_location_maps(features: Tensor, **maps: Tensor) -> None:
    """Make sure that maps, given by name, have one value for each location of features.

    Args:
        features: Features, or logits [N, C, H, W].
        **maps: The maps, which must be [N, H, W].

    Raises:
        ValueError: if one is not, naming it and both shapes.
    """
    expected = [len(features), *features.shape[2:]]
    for name, found in maps.items():
        if list(found.shape) != expected:
            raise ValueError(
                f"{name} {list(found.shape)} must be {expected}, one value for each location of "
                f"{list(features.shape)}."
            )
