"""Finding out what a detector's features and dense head look like."""

import torch
from mmdet.models.detectors.base import BaseDetector

from tbd.detectors.modes import evaluating
from tbd.detectors.roi_inference import inspect_roi_head
from tbd.distill import DetectorSpec, HeadSpec
from tbd.predictions import UnsupportedHeadError, build_adapter, find_dense_head


@torch.no_grad()
def inspect_detector(detector: BaseDetector, role: str, probe_size: int) -> DetectorSpec:
    """Run an empty image through a detector and describe what comes out.

    Neither weights, statistics nor the training mode of any module change.

    Args:
        detector: A built detector.
        role: ``"student"`` or ``"teacher"``.
        probe_size: Height and width of the image, in pixels.

    Returns:
        The detector's description.

    Raises:
        ValueError: if the detector cannot process such an image.
    """
    parameter = next(detector.parameters())
    image = torch.zeros(
        1, 3, probe_size, probe_size, device=parameter.device, dtype=parameter.dtype
    )
    try:
        with evaluating(detector):
            features = detector.extract_feat(image)
            head, head_error = _inspect_head(detector, features, probe_size)
    except Exception as error:
        raise ValueError(
            f"The {role} {type(detector).__name__} failed on an empty image of "
            f"{probe_size}×{probe_size} pixels ({error}); set probe_size to a size that it accepts."
        ) from error
    roi, roi_error = inspect_roi_head(detector)
    return DetectorSpec(
        role=role,
        type=type(detector).__name__,
        neck="neck" if detector.with_neck else "backbone",
        channels=tuple(level.shape[1] for level in features),
        strides=tuple(
            (round(probe_size / level.shape[2]), round(probe_size / level.shape[3]))
            for level in features
        ),
        head=head,
        head_error=head_error,
        roi=roi,
        roi_error=roi_error,
    )


def _inspect_head(
    detector: BaseDetector, features: tuple[torch.Tensor, ...], probe_size: int
) -> tuple[HeadSpec | None, str]:
    try:
        name, head = find_dense_head(detector)
        adapter = build_adapter(head)
        adapter(head(features))
    except UnsupportedHeadError as error:
        return None, str(error)
    if len(adapter.anchors_per_location) != len(features):
        return None, (
            f"{type(head).__name__} predicts on {len(adapter.anchors_per_location)} levels, but "
            f"the features have {len(features)}."
        )
    if adapter.strides and not _fit(adapter.strides, features, probe_size):
        sizes = [f"{level.shape[2]}×{level.shape[3]}" for level in features]
        return None, (
            f"{type(head).__name__} is read as predicting at strides {list(adapter.strides)} "
            f"(horizontal, vertical), to which features of {', '.join(sizes)} cells of an image "
            f"of {probe_size}×{probe_size} pixels do not fit."
        )
    return HeadSpec(
        name=name,
        type=type(head).__name__,
        num_classes=adapter.num_classes,
        anchors_per_location=adapter.anchors_per_location,
        prior_layout=adapter.prior_layout,
    ), ""


def _fit(
    strides: tuple[tuple[float, float], ...], features: tuple[torch.Tensor, ...], probe_size: int
) -> bool:
    # However many halvings round up or down, a grid misses the image's border by less than a cell.
    return all(
        abs(stride * cells - probe_size) < stride
        for (horizontal, vertical), level in zip(strides, features, strict=True)
        for stride, cells in ((vertical, level.shape[2]), (horizontal, level.shape[3]))
    )
