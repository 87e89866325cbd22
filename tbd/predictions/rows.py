"""What a dense head gives for each prediction: its class logits and its regression, row by row."""

from torch import Tensor

from tbd.precision import at_least_float32
from tbd.predictions.dense import DensePredictions, log1mexp
from tbd.predictions.layout import prediction_rows


def class_rows(predictions: DensePredictions, level: int) -> Tensor:
    """Raw logits of a level [N, H·W·A, C], the background last where there is one.

    Rows are in the order of the boxes, at least float32.
    """
    return prediction_rows(predictions.cls_logits[level], predictions.cls_channels)


def regression_rows(predictions: DensePredictions, level: int) -> Tensor:
    """What was regressed on a level [N, H·W·A, R], of distributions the side outermost.

    Rows are in the order of the boxes, at least float32.
    """
    anchors = predictions.cls_logits[level].shape[1] // predictions.cls_channels
    regression = predictions.regression[level]
    return prediction_rows(regression, regression.shape[1] // anchors)


def binary_class_rows(predictions: DensePredictions, level: int) -> Tensor:
    """Logits of a level [N, H·W·A, C] of each foreground class against all else.

    Of a sigmoid classifier they are its logits; of a softmax classifier those
    whose sigmoid is the softmax probability of the class. At least float32.
    """
    logits = class_rows(predictions, level)
    return binary_logits(logits) if predictions.background else logits


def binary_logits(logits: Tensor) -> Tensor:
    """Logits of each foreground class against all else, of a softmax classifier.

    Args:
        logits: Raw logits [..., C + 1], the background last.

    Returns:
        Logits [..., C] whose sigmoid is the softmax probability of the class, at
        least float32.
    """
    log_probability = at_least_float32(logits).log_softmax(dim=-1)[..., :-1]
    return log_probability - log1mexp(log_probability)
