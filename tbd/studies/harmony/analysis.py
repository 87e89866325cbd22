"""Analysis of how far the scores of detectors agree with their localization."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.classes import (
    checkpoint_classes,
    count_classes,
    describe_difference,
    list_names,
)
from tbd.detectors.weights import load_strictly
from tbd.engine.config import load_config
from tbd.engine.data_check import check_data
from tbd.engine.deployment.extra import import_extra
from tbd.files import write_file
from tbd.studies.harmony.gains import with_gains
from tbd.studies.harmony.ground_truth import GroundTruth
from tbd.studies.harmony.measurement import AnalysisSettings, DetectorAnalysis, Subject
from tbd.studies.harmony.report import format_tables, write_report
from tbd.studies.harmony.result import HarmonyResult

_RESULT_FILE = "result.json"
# Raised when results of an earlier version mean something else.
_FORMAT = 4


def analyze(
    subjects: Sequence[Subject],
    out_dir: str | os.PathLike[str],
    settings: AnalysisSettings | None = None,
    data_config: str | None = None,
    options: Mapping[str, Any] | None = None,
    teacher: str | None = None,
    baseline: str | None = None,
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
        teacher: Name of the detector that taught others.
        baseline: Name of the detector to whose AP that of the others is compared; with a teacher,
            what they close of the gap between the two is reported.

    Returns:
        The tables.

    Raises:
        FileNotFoundError: A config, a checkpoint or an annotation file is missing.
        ValueError: The arguments contradict one another, or a detector's classes are not the
            data's.
    """
    settings = settings or AnalysisSettings()
    _check_names(subjects, teacher, baseline)
    if settings.onnx:
        import_extra("onnxruntime")
    data = load_config(data_config or subjects[0].config, options)
    _check_test_data(data, data_config or subjects[0].config)
    check_data(data, ("test",))
    root = Path(out_dir)
    results = []
    for number, subject in enumerate(subjects, start=1):
        print(f"\n== detector {number} of {len(subjects)}: {subject.name} ==", flush=True)
        results.append(_finish(subject, data, settings, root / "models" / subject.name))
    results = with_gains(results, teacher, baseline)
    written = write_report(root, results, settings.score_thr)
    tables = format_tables(results)
    print(f"\n{tables}\n", flush=True)
    for path in written:
        print(f"wrote {path}", flush=True)
    return tables


def _check_names(subjects: Sequence[Subject], teacher: str | None, baseline: str | None) -> None:
    if not subjects:
        raise ValueError("nothing to analyse: give at least one config and its checkpoint.")
    names = [subject.name for subject in subjects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two detectors are named {', '.join(twice)}: tell them apart by --names, one for "
            "each pair of config and checkpoint."
        )
    strange = [name for name in names if not _is_folder_name(name)]
    if strange:
        raise ValueError(
            f"--names: {', '.join(map(repr, strange))} cannot be a folder's name; give another."
        )
    for option, name in (("--teacher", teacher), ("--baseline", baseline)):
        if name is not None and name not in names:
            raise ValueError(
                f"{option} {name!r} is none of the detectors; name one of {', '.join(names)}."
            )
    if teacher is not None and baseline is None:
        raise ValueError(f"--teacher {teacher}: the gap to which detector? Give --baseline NAME.")


def _is_folder_name(name: str) -> bool:
    """Whether a folder and a heading can be called so."""
    encoded = name.encode(errors="ignore")
    return (
        Path(name).name == name
        and name not in ("", ".", "..")
        and len(encoded) <= 255
        # What is no text cannot be drawn.
        and encoded.decode() == name
    )


def _finish(
    subject: Subject, data: Config, settings: AnalysisSettings, folder: Path
) -> HarmonyResult:
    """Analyse a detector, unless its folder holds the result of the same already."""
    config = load_config(subject.config, needs_model=True)
    loader = Runner.build_dataloader(_loader_config(subject, config, data), seed=0)
    truth = GroundTruth(loader.dataset)
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
    analysis = DetectorAnalysis(
        subject, config, model.to(get_device()).eval(), loader, truth, settings, folder
    )
    result = analysis.run()
    content = json.dumps({"fingerprint": fingerprint, **asdict(result)}, indent=1)
    write_file(folder / _RESULT_FILE, content + "\n")
    return result


def _check_test_data(cfg: Config, name: str) -> None:
    if not isinstance((cfg.get("test_dataloader") or {}).get("dataset"), Mapping):
        raise ValueError(
            f"{name} has no test_dataloader with a dataset; give a full config, or one of the data "
            "by --data-config."
        )


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
                # As bytes, because NumPy knows no bfloat16.
                plain = value.detach().cpu().contiguous().view(-1).view(torch.uint8)
                digest.update(plain.numpy().tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _read_result(folder: Path, fingerprint: str) -> HarmonyResult | None:
    """Read what was kept; None, so that it is made again, if it is another's or not whole."""
    try:
        content = json.loads((folder / _RESULT_FILE).read_text())
        if content.pop("fingerprint") != fingerprint:
            return None
        result = HarmonyResult.of(content)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    pictures = [*result.maps, *([result.pairs] if result.pairs else [])]
    return result if all((folder / picture.file).is_file() for picture in pictures) else None
