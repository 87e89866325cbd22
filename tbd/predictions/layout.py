"""The order in which MMDetection lays out predictions: row, column, anchor."""

from collections.abc import Sequence

from torch import Tensor

from tbd.precision import at_least_float32


def prediction_rows(level: Tensor, width: int) -> Tensor:
    """One row per prediction, in the order of MMDetection's priors.

    Args:
        level: Raw output of a level [N, A·width, H, W], the anchor outermost in
            the channel axis.
        width: Numbers per prediction, such as 4 for deltas.

    Returns:
        Rows [N, H·W·A, width], at least float32: exponentials and products of
        the decoders overflow or round in half precision.
    """
    rows = at_least_float32(level).permute(0, 2, 3, 1)
    # Not unflatten, whose ONNX form fixes the number of images.
    return rows.reshape(level.shape[0], -1, width)


def channels_of(outputs: Sequence[Sequence[Tensor]]) -> list[list[int]]:
    """Channels of every level of every item of a head's output; empty if it is not such a thing."""
    try:
        return [[level.shape[1] for level in item] for item in outputs]
    except (AttributeError, IndexError, TypeError):
        return []
