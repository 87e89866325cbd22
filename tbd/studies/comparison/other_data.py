"""Finished runs evaluated on images that their configs do not name."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config

from tbd.datasets.annotation_check import check_annotations, read_annotations
from tbd.detectors.classes import describe_difference
from tbd.files import write_file
from tbd.studies.comparison.measurement import measure
from tbd.studies.comparison.runs import RUN_FORMAT, Run, read_dict, read_state

_IMAGE_FOLDERS = ("images", ".", "../images")


@dataclass(frozen=True)
class TestData:
    """An annotation file in COCO format, and where its images are.

    Attributes:
        annotations: The JSON file.
        images: Folder that its ``file_name`` entries are relative to.
        classes: Names of its categories.
        digest: Stands for the content of the file and of its images.
        has_masks: Whether every annotation has a segmentation that can be drawn.
    """

    # Not a class of tests.
    __test__ = False

    annotations: Path
    images: Path
    classes: tuple[str, ...]
    digest: str
    has_masks: bool

    @property
    def name(self) -> str:
        """A name for files: that of the annotation file, and the beginning of the digest."""
        return f"{self.annotations.stem}_{self.digest[:8]}"


def find_test_data(path: str | Path) -> TestData:
    """Find annotations and images.

    Args:
        path: A JSON file in COCO format, or a folder with exactly one, at its top or in
            ``annotations``; where there are several, ``test.json`` counts. Images lie in ``images``
            beside the file or one folder above, or beside the file itself.

    Raises:
        FileNotFoundError: There is no annotation file, or no folder holds its first image.
        ValueError: There are several annotation files, or the file is not of COCO's format, has
            faults that end an evaluation, such as missing images, or holds nothing to be found.
    """
    file = _annotation_file(Path(path)).resolve()
    try:
        content = read_annotations(file)
    except ValueError as error:
        raise ValueError(f"--test-data is not in COCO's format: {error}") from error
    names = [str(image["file_name"]) for image in content["images"]]
    classes = tuple(category["name"] for category in content["categories"])
    has_masks = all(_is_mask(item.get("segmentation")) for item in content["annotations"])
    if not names:
        raise ValueError(f"--test-data {file} lists no images; give a file with some.")
    folders = [(file.parent / name).resolve() for name in _IMAGE_FOLDERS]
    for folder in folders:
        if (folder / names[0]).is_file():
            _check_content(content, file, folder, classes)
            return TestData(file, folder, classes, _digest(file, folder, names), has_masks)
    looked = ", ".join(map(str, folders))
    raise FileNotFoundError(
        f"--test-data: {names[0]} of {file} is in none of {looked}; put the images beside it."
    )


def _is_mask(segmentation: Any) -> bool:
    """Whether it is a run-length code, or polygons of three points or more."""
    if isinstance(segmentation, Mapping):
        return {"counts", "size"} <= segmentation.keys()
    polygons = segmentation if isinstance(segmentation, list) else []
    return bool(polygons) and all(isinstance(p, list) and len(p) >= 6 for p in polygons)


def _digest(file: Path, images: Path, names: Sequence[str]) -> str:
    # Of two folders with the same annotations, one may hold the images darkened or blurred.
    digest = hashlib.sha256(file.read_bytes())
    for name in names:
        digest.update(hashlib.sha256((images / name).read_bytes()).digest())
    return digest.hexdigest()


def _check_content(
    content: Mapping[str, Any], file: Path, images: Path, classes: tuple[str, ...]
) -> None:
    # Not remembered as that of a training is: images come and go while the file stays.
    found = check_annotations(content, str(file), classes, images, "header")
    if faults := found.of("stop"):
        raise ValueError(
            f"--test-data {file} has {'; '.join(map(str, faults))}. Its images are looked for in "
            f"{images}; mend the file or its images."
        )
    if not found.usable:
        raise ValueError(
            f"--test-data {file} holds {found.annotations} annotations on {found.images} images "
            "and no box that could be found, so that no AP could be measured; give a file with "
            "objects."
        )


def _annotation_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted([*path.glob("*.json"), *path.glob("annotations/*.json")])
    named = [file for file in found if file.name == "test.json"]
    if len(found) == 1 or len(named) == 1:
        return (named or found)[0]
    if not found:
        raise FileNotFoundError(
            f"--test-data {path}: no such file, and no folder with an annotation file (*.json); "
            "give one."
        )
    raise ValueError(
        f"--test-data {path} holds several annotation files, {', '.join(map(str, found))}; name "
        "one of them."
    )


def options_for(cfg: Config, data: TestData) -> dict[str, Any]:
    """Options that put other test data into a config.

    Args:
        cfg: Config of a run, whose test pipeline and classes stay.
        data: What to test on.

    Returns:
        Options as for :func:`tbd.engine.load_config`.

    Raises:
        ValueError: The classes or their order differ, or the config evaluates masks and the data
            has none.
    """
    dataset = cfg.test_dataloader.dataset
    metainfo = dict(dataset.get("metainfo") or DATASETS.get(dataset.type).METAINFO)
    classes = tuple(metainfo["classes"])
    difference = describe_difference(data.classes, classes, "the file", "the detector")
    if difference:
        raise ValueError(
            f"--test-data {data.annotations} has the categories {', '.join(data.classes)}, the "
            f"detector the classes {', '.join(classes)}: {difference}. Write the categories of the "
            "file as the detector's classes, in their order, by which MMDetection numbers them."
        )
    pipeline = [dict(step) for step in dataset.pipeline]
    evaluators = cfg.test_evaluator
    found = [dict(item) for item in (evaluators if isinstance(evaluators, list) else [evaluators])]
    for evaluator in found:
        if "ann_file" in evaluator:
            evaluator["ann_file"] = str(data.annotations)
    reads_masks = any(step.get("with_mask") for step in pipeline)
    if not data.has_masks and (reads_masks or any("segm" in _metric(item) for item in found)):
        raise ValueError(
            f"--test-data {data.annotations} has annotations without a segmentation, which the "
            "detector's test pipeline or evaluator reads; give a file where each has one, polygons "
            "of three points or more or a run-length code."
        )
    return {
        "test_dataloader.dataset": {
            "_delete_": True,
            "type": "CocoDataset",
            "ann_file": str(data.annotations),
            "data_prefix": {"img": str(data.images)},
            "metainfo": metainfo,
            "test_mode": True,
            "pipeline": pipeline,
        },
        "test_evaluator": found,
    }


def _metric(evaluator: Mapping[str, Any]) -> Sequence[str]:
    """Names of what an evaluator measures."""
    found = evaluator.get("metric") or ()
    return [found] if isinstance(found, str) else list(found)


def measure_elsewhere(run: Run, data: TestData) -> Mapping[str, float | None]:
    """Evaluate a finished run on other data; what was evaluated before is read.

    Args:
        run: The run.
        data: What to test on.

    Returns:
        Its metrics, see :data:`tbd.studies.comparison.report.METRICS`.

    Raises:
        FileNotFoundError: Its checkpoint is lost or damaged.
    """
    kept = run.folder / f"metrics_{data.name}.json"
    stands_for = {"format": RUN_FORMAT, "data": data.digest, "fingerprint": run.fingerprint}
    # Half a file is as good as none.
    content = read_dict(kept) or {}
    found = content.get("metrics")
    if isinstance(found, dict) and {key: content.get(key) for key in stands_for} == stands_for:
        return found
    if fault := run.checkpoint_fault():
        raise FileNotFoundError(
            f"{run.name}, seed {run.seed} cannot be evaluated: {fault}. Put the checkpoint back, "
            f"or remove {run.folder} and run the same command without --test-data, which trains "
            "it again."
        )
    metrics = measure(run, options_for(run.load(), data), f"test_{data.name}")
    write_file(kept, json.dumps({**stands_for, "metrics": metrics}, indent=2) + "\n")
    return metrics


def check_finished(runs: Sequence[Run]) -> None:
    """Refuse runs that other data cannot be put to yet.

    Args:
        runs: The runs.

    Raises:
        ValueError: One is not trained, or was trained by another state of its config.
    """
    unfinished = [
        f"{run.name}, seed {run.seed}"
        for run, state in ((run, read_state(run.folder)) for run in runs)
        if not state.get("metrics") or not run.is_described_by(state)
    ]
    if unfinished:
        raise ValueError(
            "--test-data evaluates finished runs and trains none; not finished, or of another "
            f"state of the config, its data or its teacher: {'; '.join(unfinished)}. Run the same "
            "command without --test-data first."
        )
