"""Class logits of dense predictions, one row per prediction."""

from torch import Tensor

from tbd.predictions.dense import DensePredictions, log1mexp
from tbd.predictions.layout import prediction_rows


def class_rows(predictions: DensePredictions, level: int) -> Tensor:
    """Raw logits of a level [N, H·W·A, C], the background last where there is one.

    Rows are in the order of the boxes, at least float32.
    """
    return prediction_rows(
        predictions.cls_logits[level], predictions.num_classes + int(predictions.background)
    )


def binary_class_rows(predictions: DensePredictions, level: int) -> Tensor:
    """Logits of a level [N, H·W·A, C] of each foreground class against all else.

    Of a sigmoid classifier they are its logits; of a softmax classifier those
    whose sigmoid is the softmax probability of the class. At least float32.
    """
    logits = class_rows(predictions, level)
    if not predictions.background:
        return logits
    log_probability = logits.log_softmax(dim=2)[:, :, : predictions.num_classes]
    return log_probability - log1mexp(log_probability)
