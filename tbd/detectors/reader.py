"""From what the terms of a run read to the modules that are run, recorded and shown to them."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import DetectionTransformer
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from tbd.detectors.recorder import OutputRecorder
from tbd.detectors.roi_inference import roi_stages
from tbd.distill import GroundTruth, Read, View
from tbd.predictions import (
    HeadTowers,
    QueryReader,
    RoIPredictions,
    RunnableHead,
    build_adapter,
    find_dense_head,
    no_predictions,
    read_box_head,
)

PYRAMID_READS = frozenset({"features", "predictions", "head_features"})
"""What is compared level by level, so that the levels of two detectors must be paired."""

_HEAD_READS = frozenset({"predictions", "head_features"})
SECOND_STAGE = "roi_head"
"""Attribute of the part of a two-stage detector that runs on proposals."""


@dataclass(frozen=True)
class Reading:
    """What is read of one detector.

    Attributes:
        reads: Parts of its work, the union over all terms.
        modules: Paths of further modules whose outputs are recorded.
        preactivations: Numbers, from 1, of the tower convolutions of which what they
            give before their activation is recorded as well.
    """

    reads: frozenset[Read]
    modules: tuple[str, ...] = ()
    preactivations: frozenset[int] = frozenset()


class DetectorReader:
    """Records one detector while it runs, and shows terms what they read.

    Args:
        detector: The detector.
        role: ``"student"`` or ``"teacher"``, for error messages.
        reading: What is read of it.

    Raises:
        ValueError: if a module path does not exist.
        UnsupportedHeadError: if a head that is read cannot be.

    Attributes:
        head: Attribute name of the dense head, where a term reads or runs it.
    """

    def __init__(self, detector: BaseDetector, role: str, reading: Reading) -> None:
        reads = reading.reads
        self._detector = detector
        self._role = role
        self._reading = reading
        parts = {path.partition(".")[0] for path in reading.modules}
        is_transformer = isinstance(detector, DetectionTransformer)
        self.head = find_dense_head(detector)[0] if reads & (_HEAD_READS | {"head"}) else None
        named = next((name for name in ("rpn_head", "bbox_head") if name in parts), None)
        dense_head = self.head if reads & _HEAD_READS else named
        self._dense_head = None if is_transformer else dense_head
        self._decodes = is_transformer and (
            "queries" in reads or bool(parts - {"backbone", "neck"})
        )
        self._runs_neck = bool(reads - {"backbone", "head", "images"} or parts - {"backbone"})
        # Whatever cannot be read is to be known when the model is built.
        self.recorder()

    def recorder(self) -> OutputRecorder:
        """Context that records all that is read, for a detector that runs as a whole."""
        stages: dict[str, nn.Module] = {}
        if "rois" in self._reading.reads:
            for index, (extractor, box_head) in enumerate(roi_stages(self._detector.roi_head)):
                stages |= {f"proposals_{index}": extractor, f"roi_{index}": box_head}
        modules = self._first_stage() | stages | self._named(second_stage=True)
        # A cascade stops early where no proposal is left.
        inputs = self._activations()
        return OutputRecorder(modules, self._role, optional=stages, inputs=inputs)

    def first_stage_recorder(self, float32: bool = False) -> OutputRecorder:
        """Context that records what is read up to the dense head or the decoder."""
        return OutputRecorder(
            self._first_stage(), self._role, float32=float32, inputs=self._activations()
        )

    def second_stage_recorder(self, float32: bool = False) -> OutputRecorder:
        """Context that records the modules of the RoI head that are named by their path."""
        modules = self._named(second_stage=True)
        return OutputRecorder(modules, self._role, optional=modules, float32=float32)

    def recorded(self) -> list[nn.Module]:
        """All modules that are recorded, at one stage or the other."""
        parts = self._first_stage(), self._activations(), self._named(second_stage=True)
        return [module for part in parts for module in part.values()]

    def parts(self) -> list[str]:
        """Attributes of the parts that :meth:`run` runs on maps of features."""
        parts = ["backbone"]
        if self._runs_neck and self._detector.with_neck:
            parts.append("neck")
        return [*parts, self._dense_head] if self._dense_head else parts

    def trained_parts(self) -> list[str]:
        """Attributes of the parts that a training step runs on maps of features."""
        names = ["backbone", "neck", "rpn_head", "bbox_head"]
        parts = {name: getattr(self._detector, name, None) for name in names}
        is_head = {name: isinstance(part, BaseDenseHead) for name, part in parts.items()}
        return [
            name
            for name, part in parts.items()
            if part is not None and (is_head[name] or not name.endswith("head"))
        ]

    def separate_levels(self) -> set[int]:
        """Numbers of the pyramid levels of the dense head, where terms read no more of it."""
        named = {path.partition(".")[0] for path in self._reading.modules}
        if self.head is None or self._dense_head is None or self._dense_head in named:
            return set()
        head = getattr(self._detector, self.head)
        return set(range(len(build_adapter(head).anchors_per_location)))

    def run(
        self,
        images: Tensor,
        samples: Sequence[DetDataSample],
        levels: Sequence[int] | None = None,
    ) -> None:
        """Run just what is read, up to the dense head or the decoder; no losses, no NMS.

        Args:
            images: The detector's normalised images [N, 3, H, W].
            samples: Their samples, for the size of each image.
            levels: Pyramid levels whose predictions are read. The dense head sees a
                single cell of the others, since it counts its levels. None for all.
        """
        if not self._runs_neck:
            self._detector.backbone(images)
            return
        features = tuple(self._detector.extract_feat(images))
        if self._dense_head is not None:
            seen = features
            if levels is not None:
                seen = tuple(
                    level if index in levels else level[:, :, :1, :1]
                    for index, level in enumerate(features)
                )
            getattr(self._detector, self._dense_head)(seen)
        if self._decodes:
            inputs = self._detector.forward_transformer(features, samples)
            self._detector.bbox_head(*inputs.values())

    def view(self, record: OutputRecorder, gt: GroundTruth, images: Tensor) -> View:
        """Show what was recorded, but for the second stage's predictions.

        Args:
            record: Recorder of a finished run.
            gt: Ground truth of the batch.
            images: The detector's normalised images [N, 3, H, W].
        """
        reads = self._reading.reads
        head = getattr(self._detector, self.head) if self.head else None
        predictions = queries = head_features = None
        if "predictions" in reads:
            predictions = build_adapter(head)(record.only("head").output)
        if "head_features" in reads:
            towers = HeadTowers(head)
            head_features = towers.collect(
                {name: record.outputs(f"tower.{name}") for name in towers.modules()},
                {
                    depth: {
                        name: record.outputs(f"preactivation.{name}")
                        for name in towers.activations(depth)
                    }
                    for depth in self._reading.preactivations
                },
            )
        if "queries" in reads:
            call = record.only("queries")
            queries = QueryReader(self._detector)(call.inputs, call.output, gt.image_sizes)
        return View(
            gt=gt,
            features=tuple(record.only("features").output) if self._runs_neck else (),
            predictions=predictions,
            backbone=as_tensors(record.only("backbone").output) if "backbone" in reads else (),
            head_features=head_features,
            queries=queries,
            head=RunnableHead(head) if "head" in reads else None,
            outputs=self.module_outputs(record),
            images=images if "images" in reads else None,
        )

    def module_outputs(self, record: OutputRecorder) -> dict[str, tuple[Any, ...]]:
        """Outputs by module path, of those paths that this record has."""
        return {
            path: record.outputs(f"path.{path}")
            for path in self._reading.modules
            if f"path.{path}" in record.calls
        }

    def rois(self, record: OutputRecorder) -> tuple[RoIPredictions, ...] | None:
        """What each stage of the RoI head predicted in a recorded training step."""
        if "rois" not in self._reading.reads:
            return None
        stages = []
        for index, (_, box_head) in enumerate(roi_stages(self._detector.roi_head)):
            if record.calls[f"roi_{index}"]:
                _, proposals = record.only(f"proposals_{index}").inputs
                stages.append(
                    read_box_head(box_head, proposals, record.only(f"roi_{index}").output)
                )
            else:
                # Every rank must come to the same normalisers, with proposals or without.
                like = record.only("features").output[0]
                stages.append(no_predictions(like, box_head.num_classes))
        return tuple(stages)

    def _first_stage(self) -> dict[str, nn.Module]:
        """Modules to record, looked up anew at each step: a conversion may have replaced some."""
        detector, reads = self._detector, self._reading.reads
        modules: dict[str, nn.Module] = {}
        if self._runs_neck:
            modules["features"] = detector.neck if detector.with_neck else detector.backbone
        if "backbone" in reads:
            modules["backbone"] = detector.backbone
        if "predictions" in reads:
            modules["head"] = getattr(detector, str(self.head))
        if "head_features" in reads:
            towers = HeadTowers(getattr(detector, str(self.head)))
            modules |= {f"tower.{name}": part for name, part in towers.modules().items()}
        if "queries" in reads:
            modules["queries"] = QueryReader(detector).head
        return modules | self._named(second_stage=False)

    def _activations(self) -> dict[str, nn.Module]:
        """Activations of which the input is recorded."""
        depths = self._reading.preactivations
        if not depths:
            return {}
        towers = HeadTowers(getattr(self._detector, str(self.head)))
        return {
            f"preactivation.{name}": module
            for depth in depths
            for name, module in towers.activations(depth).items()
        }

    def _named(self, second_stage: bool) -> dict[str, nn.Module]:
        paths = [
            path
            for path in self._reading.modules
            if (path.partition(".")[0] == SECOND_STAGE) == second_stage
        ]
        found = find_modules(self._detector, self._role, paths) if paths else {}
        return {f"path.{path}": module for path, module in found.items()}


def find_modules(detector: BaseDetector, role: str, paths: Collection[str]) -> dict[str, nn.Module]:
    """Find modules by their paths, such as ``"backbone.layer3"``.

    Raises:
        ValueError: if one does not exist; the message names the nearest that do.
    """
    modules = dict(detector.named_modules())
    for path in paths:
        if path not in modules or not path:
            near = difflib.get_close_matches(path, modules, n=3, cutoff=0.5)
            raise ValueError(
                f"{role}_modules: the {role} {type(detector).__name__} has no module {path!r}; "
                f"near to it are {', '.join(near) or ', '.join(_names(detector))}."
            )
    return {path: modules[path] for path in paths}


def _names(detector: BaseDetector) -> Iterable[str]:
    return (name for name, _ in detector.named_children())


def as_tensors(outputs: Any) -> tuple[Tensor, ...]:
    """The tensors that a module returned, whether it returns one or several."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    return tuple(item for item in outputs if isinstance(item, Tensor))
