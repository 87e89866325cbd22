"""Finding out what a detector's features and dense head look like."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor
from torch import Tensor

from tbd.detectors.modes import evaluating
from tbd.detectors.reader import SECOND_STAGE, DetectorReader, Reading, as_tensors
from tbd.detectors.recorder import OutputRecorder
from tbd.detectors.renormalization import mean_and_std
from tbd.detectors.roi_inference import inspect_roi_head
from tbd.distill import DetectorSpec, HeadSpec, InputSpec, QuerySpec, TowerSpec
from tbd.predictions import (
    HeadTowers,
    QueryReader,
    UnsupportedHeadError,
    build_adapter,
    find_dense_head,
)


@torch.no_grad()
def inspect_detector(
    detector: BaseDetector, role: str, probe_size: int, reading: Reading | None = None
) -> DetectorSpec:
    """Run an empty image through a detector and describe what comes out.

    Neither weights, statistics nor the training mode of any module change.

    Args:
        detector: A built detector.
        role: ``"student"`` or ``"teacher"``.
        probe_size: Height and width of the image, in pixels.
        reading: What terms read beside features and dense predictions; None
            for nothing else.

    Returns:
        The detector's description.

    Raises:
        ValueError: if the detector cannot process such an image.
    """
    parameter = next(detector.parameters())
    image = torch.zeros(
        1, 3, probe_size, probe_size, device=parameter.device, dtype=parameter.dtype
    )
    size = (probe_size, probe_size)
    sample = DetDataSample(
        metainfo=dict(img_shape=size, ori_shape=size, batch_input_shape=size, scale_factor=(1, 1))
    )
    paths = tuple(
        path for path in (reading.modules if reading else ()) if not path.startswith(SECOND_STAGE)
    )
    reader = DetectorReader(detector, role, Reading(frozenset({"features", "backbone"}), paths))
    try:
        with evaluating(detector):
            with reader.first_stage_recorder() as record:
                reader.run(image, [sample])
            features = tuple(record.only("features").output)
            head, head_error = _inspect_head(detector, features, probe_size)
    except Exception as error:
        raise ValueError(
            f"The {role} {type(detector).__name__} failed on an empty image of "
            f"{probe_size}×{probe_size} pixels ({error}). Mend model.{role}; or, where it needs "
            "images of another size, set probe_size to one that it accepts."
        ) from error
    roi, roi_error = inspect_roi_head(detector)
    queries, queries_error = _inspect_queries(detector)
    backbone = as_tensors(record.only("backbone").output)
    return DetectorSpec(
        role=role,
        type=type(detector).__name__,
        neck="neck" if detector.with_neck else "backbone",
        channels=tuple(level.shape[1] for level in features),
        strides=_strides(features, probe_size),
        head=head,
        head_error=head_error,
        roi=roi,
        roi_error=roi_error,
        queries=queries,
        queries_error=queries_error,
        backbone_channels=tuple(level.shape[1] for level in backbone),
        backbone_strides=_strides(backbone, probe_size),
        outputs={
            path: tuple(tuple(tensor.shape) for call in outputs for tensor in as_tensors(call))
            for path, outputs in reader.module_outputs(record).items()
        },
        images=_inspect_images(detector.data_preprocessor),
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
        background=adapter.background,
        prior_offset=adapter.prior_offset,
        encoding=adapter.encoding,
        bins=adapter.bins,
        strides=adapter.strides and tuple((down, across) for across, down in adapter.strides),
        **_inspect_towers(head, features),
    ), ""


def _inspect_towers(head: BaseDenseHead, features: tuple[Tensor, ...]) -> dict[str, Any]:
    try:
        towers = HeadTowers(head)
    except UnsupportedHeadError as error:
        return {"towers_error": str(error)}
    with OutputRecorder(towers.modules(), "head") as record:
        head(features)
    found = towers.collect({name: record.outputs(name) for name in towers.modules()})
    return {
        "towers": TowerSpec(
            cls_channels=tuple(conv[0].shape[1] for conv in found.cls),
            reg_channels=tuple(conv[0].shape[1] for conv in found.reg),
            preactivations=towers.preactivations(),
        )
    }


def _inspect_queries(detector: BaseDetector) -> tuple[QuerySpec | None, str]:
    try:
        reader = QueryReader(detector)
    except UnsupportedHeadError as error:
        return None, str(error)
    layers = detector.decoder.num_layers
    return QuerySpec(
        type=type(reader.head).__name__,
        num_classes=reader.num_classes,
        background=reader.background,
        num_queries=reader.num_queries,
        num_layers=layers if getattr(detector.decoder, "return_intermediate", True) else 1,
        channels=int(detector.embed_dims),
    ), ""


def _inspect_images(preprocessor: BaseDataPreprocessor) -> InputSpec | None:
    if not isinstance(preprocessor, ImgDataPreprocessor):
        return None
    mean, std = mean_and_std(preprocessor)
    # MMDetection loads images as BGR.
    order = "rgb" if preprocessor._channel_conversion else "bgr"
    return InputSpec(tuple(mean.tolist()), tuple(std.tolist()), order)


def _strides(features: Sequence[Tensor], probe_size: int) -> tuple[tuple[int, int], ...]:
    return tuple(
        (round(probe_size / level.shape[2]), round(probe_size / level.shape[3]))
        for level in features
    )


def _fit(
    strides: tuple[tuple[float, float], ...], features: tuple[torch.Tensor, ...], probe_size: int
) -> bool:
    # However many halvings round up or down, a grid misses the image's border by less than a cell.
    return all(
        abs(stride * cells - probe_size) < stride
        for (horizontal, vertical), level in zip(strides, features, strict=True)
        for stride, cells in ((vertical, level.shape[2]), (horizontal, level.shape[3]))
    )
