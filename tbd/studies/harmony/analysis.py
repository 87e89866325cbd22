"""Analysis of how far the scores of detectors agree with their localization."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmengine.utils import track_iter_progress

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector, predict_densely, resolve_model_config
from tbd.detectors.classes import describe_difference, list_names
from tbd.detectors.inspection import count_classes
from tbd.detectors.weights import checkpoint_classes, load_strictly
from tbd.engine.config import load_config
from tbd.engine.data_check import check_data
from tbd.evaluation.agreement import CALIBRATION_BINS, calibration_bins
from tbd.evaluation.dense_recorder import DenseRecorder, input_ground_truth
from tbd.evaluation.harmony import HarmonyMetric, ImageRecord
from tbd.files import replacing, write_file
from tbd.harmony import HarmonyScoreHead
from tbd.harmony.functional import Norm
from tbd.predictions import UnsupportedHeadError
from tbd.studies.harmony.lifted_nms import lifted_nms
from tbd.studies.harmony.report import HarmonyResult, SavedPicture, format_tables, write_report
from tbd.studies.harmony.suppression import Candidates, Rivals, find_rivals, suppress
from tbd.visualization.map_pictures import cell_offset, input_picture, map_arrays, map_strides
from tbd.visualization.maps import HARMONY_LIMITS, MapColumn, draw_maps
from tbd.visualization.suppressed_pairs import SuppressedPair, draw_suppressed_pairs

IOU_BINS = 20
"""Equal bins of the IoU histogram."""

DENSITY_BINS = 50
"""Equal bins per axis of the density of score and IoU."""

MIN_LOST = 0.05
"""IoU that an object must lose at NMS to be counted among those that do."""

_RESULT_FILE = "result.json"
# Raised when results of an earlier version mean something else.
_FORMAT = 1


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
    """

    score_thr: float = 0.3
    norm: Norm = "sigmoid"
    pictures: tuple[int, ...] = (0, 1)
    nms_images: int = 100
    max_pairs: int = 8


def analyze(
    subjects: Sequence[Subject],
    out_dir: str | os.PathLike[str],
    settings: AnalysisSettings | None = None,
    data_config: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Compare how far the scores of detectors agree with their localization on one data set.

    Each detector sees the images through its own test pipeline. What is finished is kept: a
    detector is run again only when its config, its checkpoint, the data or the settings changed.

    Writes ``harmony.json``, ``harmony.csv``, ``report.html`` and ``figures/`` to ``out_dir``, and
    what belongs to one detector to ``models/<name>/``.

    Args:
        subjects: The detectors, no two of the same name.
        out_dir: Folder to write to.
        settings: What is measured and drawn.
        data_config: Config whose ``test_dataloader`` is the data. Default: that of the first
            detector.
        options: ``--cfg-options`` for the data's config, see :func:`tbd.engine.load_config`.

    Returns:
        The tables.

    Raises:
        FileNotFoundError: A config, a checkpoint or an annotation file is missing.
        ValueError: The arguments contradict one another, or a detector's classes are not the
            data's.
    """
    settings = settings or AnalysisSettings()
    _check_names(subjects)
    data = load_config(data_config or subjects[0].config, options)
    check_data(data, ("test",))
    root = Path(out_dir)
    results = []
    for number, subject in enumerate(subjects, start=1):
        print(f"\n== detector {number} of {len(subjects)}: {subject.name} ==", flush=True)
        results.append(_finish(subject, data, settings, root / "models" / subject.name))
    written = write_report(root, results, settings.score_thr)
    tables = format_tables(results)
    print(f"\n{tables}\n", flush=True)
    for path in written:
        print(f"wrote {path}", flush=True)
    return tables


def _check_names(subjects: Sequence[Subject]) -> None:
    if not subjects:
        raise ValueError("nothing to analyse: give at least one config and its checkpoint.")
    names = [subject.name for subject in subjects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two detectors are named {', '.join(twice)}: tell them apart by --names, one for "
            "each pair of config and checkpoint."
        )
    strange = [name for name in names if Path(name).name != name or name in ("", ".", "..")]
    if strange:
        raise ValueError(f"--names: {', '.join(map(repr, strange))} cannot be a folder's name.")


def _finish(
    subject: Subject, data: Config, settings: AnalysisSettings, folder: Path
) -> HarmonyResult:
    """Analyse a detector, unless its folder holds the result of the same already."""
    config = load_config(subject.config)
    loader = Runner.build_dataloader(_loader_config(subject, config, data), seed=0)
    truth = _GroundTruth(loader.dataset)
    _check_settings(settings, len(loader.dataset))
    # By its path, so that a preprocessor beside the model comes with it.
    model_config = resolve_model_config(subject.config, key=subject.name)
    checkpoint = load_checkpoint(subject.checkpoint)
    fingerprint = _fingerprint(
        _FORMAT,
        asdict(settings),
        model_config.to_dict(),
        [step.to_dict() for step in config.test_dataloader.dataset.pipeline],
        truth.content,
        checkpoint.get("state_dict", checkpoint),
    )
    kept = _read_result(folder, fingerprint)
    if kept is not None:
        print(f"finished before, see {folder / _RESULT_FILE}", flush=True)
        return kept.renamed(subject.name, subject.config, subject.checkpoint)
    model = build_detector(model_config)
    load_strictly(model, checkpoint, f"{subject.name}: {subject.checkpoint}")
    _check_classes(subject, checkpoint_classes(checkpoint), count_classes(model), truth.classes)
    folder.mkdir(parents=True, exist_ok=True)
    analysis = _Analysis(subject, model.to(get_device()).eval(), loader, truth, settings, folder)
    result = analysis.run()
    content = json.dumps({"fingerprint": fingerprint, **asdict(result)}, indent=1)
    write_file(folder / _RESULT_FILE, content + "\n")
    return result


def _loader_config(subject: Subject, config: Config, data: Config) -> Config:
    """The data's loader with the detector's own test pipeline."""
    loader = data.test_dataloader.copy()
    own = config.get("test_dataloader", {}).get("dataset", {})
    for name, dataset in ((subject.config, own), ("the data's config", loader.dataset)):
        if "pipeline" not in dataset:
            raise ValueError(
                f"{name}: test_dataloader.dataset has no pipeline of its own (a wrapper such as "
                "ConcatDataset?); name a config of one plain data set with --data-config."
            )
    loader.dataset = {**loader.dataset, "pipeline": own.pipeline}
    # In order, every image once.
    loader.sampler = dict(type="DefaultSampler", shuffle=False, round_up=False)
    loader.pop("batch_sampler", None)
    return loader


def _check_settings(settings: AnalysisSettings, num_images: int) -> None:
    outside = [index for index in settings.pictures if not 0 <= index < num_images]
    if outside:
        raise ValueError(
            f"--pictures: there is no image number {', '.join(map(str, outside))}; the data set "
            f"has {num_images} images, counted from 0."
        )


def _check_classes(
    subject: Subject,
    trained_for: Sequence[str] | None,
    count: int | None,
    classes: Sequence[str] | None,
) -> None:
    if classes is None:
        return
    advice = (
        "Analyse it on the data that it was trained for, by --data-config, or set "
        "metainfo.classes there to its classes in their order."
    )
    if trained_for is not None:
        difference = describe_difference(trained_for, classes, "the checkpoint", "the data set")
        if difference is not None:
            raise ValueError(
                f"{subject.name}: the class lists of {subject.checkpoint} and of the data "
                f"(test_dataloader.dataset.metainfo) differ: {difference}. {advice}"
            )
    if count not in (None, len(classes)):
        raise ValueError(
            f"{subject.name}: the detector of {subject.config} tells apart {count} classes, the "
            f"data (test_dataloader.dataset.metainfo) has {len(classes)}: {list_names(classes)}. "
            f"{advice}"
        )


def _fingerprint(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Mapping) and any(isinstance(v, torch.Tensor) for v in part.values()):
            for key, value in sorted(part.items()):
                digest.update(key.encode())
                digest.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _read_result(folder: Path, fingerprint: str) -> HarmonyResult | None:
    try:
        content = json.loads((folder / _RESULT_FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if content.pop("fingerprint", None) != fingerprint:
        return None
    return HarmonyResult.of(content)


class _GroundTruth:
    """Annotations of a data set, in pixels of the original images whatever the pipeline does."""

    def __init__(self, dataset: Any) -> None:
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        self._instances = {info["img_id"]: info.get("instances", []) for info in infos}
        self.classes: tuple[str, ...] | None = dataset.metainfo.get("classes")
        self.content = [
            [
                info["img_id"],
                Path(info["img_path"]).name,
                [
                    [i["bbox"], i["bbox_label"], i.get("ignore_flag", 0)]
                    for i in self._instances[info["img_id"]]
                ],
            ]
            for info in infos
        ]

    def put_into(self, sample: DetDataSample) -> None:
        """Replace the ground truth of a sample."""
        parts: dict[int, list[Mapping[str, Any]]] = {0: [], 1: []}
        for instance in self._instances[sample.img_id]:
            parts[int(bool(instance.get("ignore_flag", 0)))].append(instance)
        sample.gt_instances, sample.ignored_instances = (
            InstanceData(
                bboxes=torch.tensor([i["bbox"] for i in part], dtype=torch.float64).view(-1, 4),
                labels=torch.tensor([i["bbox_label"] for i in part], dtype=torch.long),
            )
            for part in parts.values()
        )


class _Analysis:
    """One detector on one data set."""

    def __init__(
        self,
        subject: Subject,
        model: BaseDetector,
        loader: Any,
        truth: _GroundTruth,
        settings: AnalysisSettings,
        folder: Path,
    ) -> None:
        self._subject = subject
        self._model = model
        self._loader = loader
        self._truth = truth
        self._settings = settings
        self._folder = folder

    @torch.no_grad()
    def run(self) -> HarmonyResult:
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
        values = metric.evaluate(len(self._loader.dataset))
        metrics = {key.removeprefix("harmony/"): value for key, value in values.items()}
        nms, pairs = self._trace_nms()
        if nms is None:
            notes.append(
                "No boxes were traced through NMS: the detector has none, or one that rescores."
            )
        return HarmonyResult(
            name=self._subject.name,
            config=self._subject.config,
            checkpoint=self._subject.checkpoint,
            num_images=len(self._loader.dataset),
            metrics={**metrics, **(nms or {})},
            iou_histogram=figures.iou,
            density=figures.density,
            calibration=figures.calibration,
            maps=self._draw_maps() if recorder is not None else [],
            pairs=pairs,
            notes=notes,
        )

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
            own_scale = self._settings.norm == "softmax"
            figure = draw_maps(
                image,
                gt_boxes.cpu().numpy(),
                [
                    MapColumn("$p_c$", map_arrays(maps.p_cls), None if own_scale else (0, 1)),
                    MapColumn("$p_r$", map_arrays(maps.p_loc)),
                    MapColumn("HS", map_arrays(maps.score), HARMONY_LIMITS),
                ],
                map_strides(maps.p_cls, inputs.shape[-2]),
                cell_offset(self._model),
                f"{self._subject.name}, image {index}",
            )
            name = f"maps_{index}.png"
            with replacing(self._folder / name) as path:
                figure.savefig(path)
            pictures.append(SavedPicture(name, f"{self._subject.name}, image {index}"))
        return pictures

    def _trace_nms(self) -> tuple[dict[str, float] | None, SavedPicture | None]:
        """Trace the boxes of the first images through NMS; measure and draw what it removed."""
        count = min(self._settings.nms_images, len(self._loader.dataset))
        found: list[tuple[int, Candidates, Rivals]] = []
        with lifted_nms(self._model) as nms:
            if nms is None:
                return None, None
            print(f"boxes before and after NMS on {count} images:", flush=True)
            batches = track_iter_progress((self._batches(range(count)), count))
            for index, batch in enumerate(batches):
                (sample,) = self._model.test_step(batch)
                boxes = sample.pred_instances.cpu()
                candidates = Candidates(
                    boxes.bboxes.numpy(), boxes.scores.numpy(), boxes.labels.numpy()
                )
                decided_by = suppress(
                    candidates, nms.iou_threshold, nms.get("class_agnostic", False)
                )
                truth = sample.gt_instances.cpu()
                rivals = find_rivals(
                    candidates,
                    decided_by,
                    truth.bboxes.numpy(),
                    truth.labels.numpy(),
                    self._settings.score_thr,
                )
                found += [(index, candidates, rival) for rival in rivals]
        lost = np.array([rival.lost for _, _, rival in found])
        worst = sorted(found, key=lambda entry: -entry[2].lost)[: self._settings.max_pairs]
        worst = [entry for entry in worst if entry[2].lost >= MIN_LOST]
        values: dict[str, float] = {"nms_images": count, "nms_objects": len(found)}
        if len(found):
            values["nms_better_suppressed"] = float((lost >= MIN_LOST).mean())
            values["nms_iou_lost"] = float(lost.mean())
        if not worst:
            return values, None
        figure = draw_suppressed_pairs([self._pair(*entry) for entry in worst])
        with replacing(self._folder / "pairs.png") as path:
            figure.savefig(path)
        title = f"{self._subject.name}: objects that lost most at NMS"
        return values, SavedPicture("pairs.png", title)

    def _pair(self, index: int, candidates: Candidates, rival: Rivals) -> SuppressedPair:
        info = self._loader.dataset.get_data_info(index)
        proper = [i for i in info["instances"] if not i.get("ignore_flag", 0)]
        label = int(candidates.labels[rival.kept])
        return SuppressedPair(
            image=mmcv.imread(info["img_path"], channel_order="rgb"),
            gt_box=np.array(proper[rival.gt]["bbox"]),
            kept_box=candidates.boxes[rival.kept],
            suppressed_box=candidates.boxes[rival.suppressed],
            kept=(float(candidates.scores[rival.kept]), rival.kept_iou),
            suppressed=(float(candidates.scores[rival.suppressed]), rival.suppressed_iou),
            label=f"{self._truth.classes[label] if self._truth.classes else label}, image {index}",
        )


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
