"""The dense predictions of a detector, without anything that follows them."""

from mmdet.models.detectors.base import BaseDetector
from torch import Tensor

from tbd.predictions import DensePredictions, build_adapter, find_dense_head


def predict_densely(
    detector: BaseDetector, batch_inputs: Tensor
) -> tuple[tuple[Tensor, ...], DensePredictions]:
    """Run backbone, neck and dense head, in whatever mode the detector is.

    Args:
        detector: A detector, or a :class:`~tbd.TeacherStudentDetector`, which
            stands for its student.
        batch_inputs: Normalised images [N, 3, H, W].

    Returns:
        Features of each level [N, C, H, W], and what the dense head (of a
        two-stage detector: the RPN) predicts before NMS.

    Raises:
        UnsupportedHeadError: if there is no dense head, or none that can be read.
    """
    _, head = find_dense_head(detector)
    adapter = build_adapter(head)
    features = tuple(detector.extract_feat(batch_inputs))
    return features, adapter(head(features))
