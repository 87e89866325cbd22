"""What is in the annotation files of a config, checked before a training begins."""

import hashlib
import json
import logging
import os
import os.path as osp
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import print_log

from tbd.datasets.annotation_check import (
    DataReport,
    ImageCheck,
    check_annotations,
    read_annotations,
)
from tbd.engine.data_check import generates_data, leaf_datasets
from tbd.files import write_file

CACHE_VARIABLE = "TBD_CACHE"
"""Environment variable with the folder of what is remembered between runs."""

# Of larger sets a training start does not open every image.
_MOST_IMAGES = 5000
# To be raised whenever the same file would be reported otherwise.
_VERSION = 1


class AnnotationSource(NamedTuple):
    """One annotation file of a config.

    Attributes:
        key: Config key of its data set.
        file: The file.
        image_folder: Folder of its images.
        classes: Names of the classes that the data set declares.
    """

    key: str
    file: str
    image_folder: str
    classes: tuple[str, ...] | None


def annotation_sources(cfg: Config, splits: Iterable[str]) -> Iterator[AnnotationSource]:
    """Yield the local annotation files in COCO format that a config names.

    Args:
        cfg: The config.
        splits: Out of ``"train"``, ``"val"``, ``"test"``.
    """
    for split in splits:
        loader = cfg.get(f"{split}_dataloader")
        if not loader:
            continue
        for key, dataset in leaf_datasets(loader["dataset"], f"{split}_dataloader.dataset"):
            kind = dataset.get("type")
            cls = DATASETS.get(kind) if isinstance(kind, str) else kind
            root, file = dataset.get("data_root") or "", dataset.get("ann_file")
            if not (isinstance(cls, type) and issubclass(cls, CocoDataset) and file):
                continue
            if generates_data(dataset) or dataset.get("backend_args") or "://" in file:
                continue
            standard = getattr(cls, "METAINFO", {}).get("classes")
            declared = (dataset.get("metainfo") or {}).get("classes") or standard
            folder = (dataset.get("data_prefix") or {}).get("img", "")
            yield AnnotationSource(
                key,
                osp.join(root, file),
                osp.join(root, folder),
                tuple(declared) if isinstance(declared, list | tuple) else None,
            )


def report(source: AnnotationSource, image_check: ImageCheck) -> DataReport:
    """Check an annotation file, or remember what an earlier check of the same content found.

    Args:
        source: The file.
        image_check: How closely its images are looked at.

    Raises:
        ValueError: The file is not in COCO format.
    """
    digest = hashlib.sha256(Path(source.file).read_bytes())
    asked = [_VERSION, source.classes, osp.abspath(source.image_folder), image_check]
    digest.update(json.dumps(asked).encode())
    remembered = _cache_folder() / f"{digest.hexdigest()}.json"
    try:
        return DataReport.of_dict({**json.loads(remembered.read_text()), "file": source.file})
    except (OSError, ValueError, KeyError, TypeError):
        # Never checked, or half a file: it is checked again.
        pass
    content = read_annotations(source.file)
    found = check_annotations(
        content, source.file, source.classes, source.image_folder, image_check
    )
    try:
        write_file(remembered, json.dumps(found.to_dict()))
    except OSError as error:
        print_log(f"the check of {source.file} is not remembered: {error}", "current")
    return found


def check_content(cfg: Config) -> None:
    """Check the training and validation data of a config before a training.

    Args:
        cfg: The config.

    Raises:
        ValueError: The annotations spoil a training or end it in the middle, or hold nothing that
            a detector can learn.
    """
    trained = [report_at_start(source) for source in annotation_sources(cfg, ("train",))]
    for source in annotation_sources(cfg, ("val",)):
        report_at_start(source)
    if trained and not any(found.usable for found in trained):
        counts = "; ".join(
            f"{found.file}: {found.annotations} annotations on {found.images} images"
            + "".join(f", {finding}" for finding in found.findings)
            for found in trained
        )
        raise ValueError(
            f"train_dataloader.dataset holds no box that a detector could learn from. {counts}. "
            "Set ann_file and metainfo.classes to data with objects, or mend the file by "
            "tbd check-data --fix FOLDER."
        )


def report_at_start(source: AnnotationSource) -> DataReport:
    """Check one file as a training start does: stop at what spoils it, warn of the rest.

    Raises:
        ValueError: It spoils a training or ends it in the middle.
    """
    # A file that is not there, the check of files has named.
    many = osp.isfile(source.file) and osp.getsize(source.file) > _MOST_IMAGES * 2000
    found = report(source, "none" if many else "header")
    if faults := found.of("stop"):
        raise ValueError(
            f"{source.key}.ann_file={source.file!r} has {'; '.join(map(str, faults))}. "
            "Mend the file, or let tbd check-data --fix FOLDER write a cleaned copy."
        )
    if rest := [str(finding) for finding in found.of("left out")]:
        print_log(
            f"{source.key}: MMDetection leaves out of {source.file}: {'; '.join(rest)}. tbd "
            "check-data tells more.",
            "current",
            logging.WARNING,
        )
    if rest := [str(finding) for finding in found.of("note") if "images" in finding.kind]:
        print_log(f"{source.key}: {source.file} has {'; '.join(rest)}", "current", logging.WARNING)
    return found


def _cache_folder() -> Path:
    base = os.environ.get(CACHE_VARIABLE) or osp.join(
        os.environ.get("XDG_CACHE_HOME") or osp.expanduser("~/.cache"), "tbd"
    )
    return Path(base, "data_checks")
