"""One detector on one data set: its detections, its maps, and what its NMS removed."""

import copy
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.utils import track_iter_progress

from tbd.detectors import predict_densely
from tbd.evaluation.agreement import CALIBRATION_BINS, calibration_bins
from tbd.evaluation.average_precision import class_precisions
from tbd.evaluation.dense_recorder import DenseRecorder, input_ground_truth
from tbd.evaluation.harmony import HarmonyMetric, ImageRecord
from tbd.files import replacing
from tbd.harmony import HarmonyScoreHead
from tbd.harmony.functional import Norm
from tbd.predictions import UnsupportedHeadError
from tbd.studies.class_table import PREFIX
from tbd.studies.glossary import in_studies
from tbd.studies.harmony.ground_truth import GroundTruth
from tbd.studies.harmony.nms_trace import draw_worst, measure_nms, trace_nms
from tbd.studies.harmony.result import HarmonyResult, SavedPicture
from tbd.studies.onnx_latency import export_to_time, onnx_latencies
from tbd.studies.operations import count_multiply_adds
from tbd.visualization.map_pictures import cell_offset, input_picture, map_arrays, map_strides
from tbd.visualization.maps import HARMONY_LIMITS, MapColumn, draw_maps

IOU_BINS = 20
"""Equal bins of the IoU histogram."""

DENSITY_BINS = 50
"""Equal bins per axis of the density of score and IoU."""

_TIMED_IMAGES = 20


@dataclass(frozen=True)
class Subject:
    """A detector to analyse.

    Attributes:
        name: Its name in tables and figures.
        config: Config file of the detector, or of the distillation whose student it is.
        checkpoint: Path or URL of its weights.
    """

    name: str
    config: str
    checkpoint: str


@dataclass(frozen=True)
class AnalysisSettings:
    """What is measured and drawn.

    Attributes:
        score_thr: Smallest score of a confident detection, in [0, 1].
        norm: How logits become the classification probability of the maps.
        pictures: Numbers of the images whose maps are drawn.
        nms_images: Number of images, from the first on, in which boxes are traced through NMS.
        max_pairs: Most pairs of boxes that are drawn.
        onnx: Whether the detectors are timed in onnxruntime too.
    """

    score_thr: float = 0.3
    norm: Norm = "sigmoid"
    pictures: tuple[int, ...] = (0, 1)
    nms_images: int = 100
    max_pairs: int = 8
    onnx: bool = False


class DetectorAnalysis:
    """Measures one detector on one data set.

    Args:
        subject: The detector.
        config: Its config, or that of the distillation whose student it is.
        model: It, built and loaded, in eval mode.
        loader: The data through its test pipeline, every image once and in order.
        truth: Ground truth of these data.
        settings: What is measured and drawn.
        folder: Existing folder for its pictures.
    """

    def __init__(
        self,
        subject: Subject,
        config: Config,
        model: BaseDetector,
        loader: Any,
        truth: GroundTruth,
        settings: AnalysisSettings,
        folder: Path,
    ) -> None:
        self._subject = subject
        self._config = config
        self._model = model
        self._loader = loader
        self._truth = truth
        self._settings = settings
        self._folder = folder

    @torch.no_grad()
    def run(self) -> HarmonyResult:
        """Measure and draw everything."""
        try:
            recorder = DenseRecorder(self._model, self._settings.score_thr)
            notes = []
        except UnsupportedHeadError as error:
            recorder = None
            notes = [f"No dense predictions and no maps: {error}"]
        metric = HarmonyMetric(self._settings.score_thr, dense=recorder is not None)
        metric.dataset_meta = self._loader.dataset.metainfo
        if recorder is None:
            self._predict(metric)
        else:
            with recorder:
                self._predict(metric)
        figures = _Histograms.of(metric.results, self._settings.score_thr)
        class_aps = self._class_aps(metric.results)
        values = metric.evaluate(len(self._loader.dataset))
        metrics = {key.removeprefix("harmony/"): value for key, value in values.items()}
        nms, pairs = self._trace_nms()
        if nms is None:
            notes.append(
                "No boxes were traced through NMS: the detector has none, or one that rescores."
            )
        costs = self._costs()
        if self._settings.onnx:
            exported = export_to_time(self._config, copy.deepcopy(self._model).cpu())
            if isinstance(exported, str):
                notes.append(f"Not timed in onnxruntime: {exported}")
            else:
                costs |= {"onnx_milliseconds": onnx_latencies({"": exported})[""]}
        return HarmonyResult(
            name=self._subject.name,
            config=self._subject.config,
            checkpoint=self._subject.checkpoint,
            num_images=len(self._loader.dataset),
            metrics={**in_studies({**metrics, **(nms or {}), **costs}), **class_aps},
            iou_histogram=figures.iou,
            density=figures.density,
            calibration=figures.calibration,
            maps=self._draw_maps() if recorder is not None else [],
            pairs=pairs,
            notes=notes,
        )

    def _class_aps(self, records: Sequence[ImageRecord]) -> dict[str, float]:
        """AP of each class in percent, by names that begin with :data:`PREFIX`."""
        # COCO's order, which decides between detections of equal score.
        ordered = sorted(records, key=lambda record: record.image_id)
        found = class_precisions(
            [record.scores for record in ordered],
            [record.labels for record in ordered],
            [record.by_score for record in ordered],
            [record.positives for record in ordered],
        )
        names = self._truth.classes or ()
        return {
            f"{PREFIX}{names[label] if label < len(names) else label}": 100 * value
            for label, value in found.items()
        }

    def _costs(self) -> dict[str, float]:
        """Parameters, operations and time of an image."""
        count = min(_TIMED_IMAGES, len(self._loader.dataset))
        times = []
        for batch in self._batches(range(count)):
            start = time.perf_counter()
            self._model.test_step(batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        costs = {
            "params": sum(parameter.numel() for parameter in self._model.parameters()) / 1e6,
            "milliseconds": 1e3 * statistics.median(times),
        }
        operations = count_multiply_adds(self._model, next(self._batches([0])))
        return costs if operations is None else {**costs, "gflops": operations}

    def _predict(self, metric: HarmonyMetric) -> None:
        print(f"detections on {len(self._loader.dataset)} images:", flush=True)
        for batch in track_iter_progress((self._loader, len(self._loader))):
            for sample in batch["data_samples"]:
                self._truth.put_into(sample)
            samples = self._model.test_step(batch)
            metric.process(None, [sample.to_dict() for sample in samples])

    def _batches(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        for index in indices:
            batch = pseudo_collate([self._loader.dataset[index]])
            self._truth.put_into(batch["data_samples"][0])
            yield batch

    def _draw_maps(self) -> list[SavedPicture]:
        head = HarmonyScoreHead(self._settings.norm, confidence="ranking")
        pictures = []
        for index, batch in zip(
            self._settings.pictures, self._batches(self._settings.pictures), strict=True
        ):
            image = input_picture(batch["inputs"][0])
            data = self._model.data_preprocessor(batch, training=False)
            (sample,), inputs = data["data_samples"], data["inputs"]
            gt_boxes = input_ground_truth(sample).to(inputs)
            _, predictions = predict_densely(self._model, inputs)
            maps = head(predictions, [gt_boxes]).per_location()
            name = f"image {index}, {Path(sample.img_path).name}"
            figure = draw_maps(
                image,
                gt_boxes.cpu().numpy(),
                [
                    # On its own range: focal detectors hardly get above a half.
                    MapColumn("$p_c$", map_arrays(maps.p_cls), None),
                    MapColumn("$p_r$", map_arrays(maps.p_loc)),
                    MapColumn("HS", map_arrays(maps.score), HARMONY_LIMITS),
                ],
                map_strides(maps.p_cls, inputs.shape[-2]),
                cell_offset(self._model),
                f"{self._subject.name}, {name}",
            )
            file = f"maps_{index}.png"
            with replacing(self._folder / file) as path:
                figure.savefig(path)
            pictures.append(SavedPicture(file, f"{self._subject.name}, {name}"))
        return pictures

    def _trace_nms(self) -> tuple[dict[str, float] | None, SavedPicture | None]:
        """Trace the boxes of the first images through NMS; measure and draw what it removed."""
        dataset = self._loader.dataset
        count = min(self._settings.nms_images, len(dataset))

        def batches() -> Iterator[dict[str, Any]]:
            print(f"boxes before and after NMS on {count} images:", flush=True)
            yield from track_iter_progress((self._batches(range(count)), count))

        objects = trace_nms(self._model, batches(), self._settings.score_thr)
        if objects is None:
            return None, None
        figure = draw_worst(objects, dataset, self._settings.max_pairs)
        if figure is None:
            return measure_nms(objects, count), None
        with replacing(self._folder / "pairs.png") as path:
            figure.savefig(path)
        title = f"{self._subject.name}: objects that lost most at NMS"
        return measure_nms(objects, count), SavedPicture("pairs.png", title)


@dataclass(frozen=True)
class _Histograms:
    """What the figures over all images need, as plain lists.

    Attributes:
        iou: Confident detections per bin of the IoU.
        density: Detections per cell [score, IoU].
        calibration: Per bin of the score the detections, the sum of scores and that of IoUs.
    """

    iou: list[int]
    density: list[list[int]]
    calibration: list[list[float]]

    @classmethod
    def of(cls, records: Sequence[ImageRecord], score_thr: float) -> "_Histograms":
        scores, ious = (
            np.concatenate([np.empty(0), *(getattr(r, name) for r in records)])
            for name in ("scores", "ious")
        )
        confident = ious[scores >= np.float32(score_thr)]
        unit = [(0, 1), (0, 1)]
        bins = calibration_bins(scores)
        return cls(
            np.histogram(confident, IOU_BINS, (0, 1))[0].tolist(),
            np.histogram2d(scores, ious, DENSITY_BINS, unit)[0].astype(int).tolist(),
            [
                np.bincount(bins, weights, CALIBRATION_BINS).tolist()
                for weights in (None, scores, ious)
            ],
        )
