"""What is in the annotation files of a config, checked before a training begins."""

import hashlib
import json
import os
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmdet.datasets import CocoDataset, XMLDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import print_log

from tbd.datasets.annotation_check import check_annotations, read_annotations
from tbd.datasets.data_report import DataReport
from tbd.datasets.image_check import ImageCheck
from tbd.datasets.voc_check import VocFolders, check_voc
from tbd.engine.data_check import generates_data, leaf_datasets
from tbd.files import write_file

CACHE_VARIABLE = "TBD_CACHE"
"""Environment variable with the folder of what is remembered between runs."""

# Of larger sets a training start does not open every image.
_MOST_IMAGES = 5000
_BYTES_OF_AN_IMAGE, _BYTES_OF_A_NAME = 2000, 12
# To be raised whenever the same file would be reported otherwise.
_VERSION = 6


class AnnotationSource(NamedTuple):
    """One annotation file of a config.

    Attributes:
        key: Config key of its data set.
        file: The file; in Pascal VOC's format the list of images.
        image_folder: Folder of its images.
        classes: Names of the classes that the data set declares.
        voc: Where everything lies in Pascal VOC's format; None in COCO's.
    """

    key: str
    file: str
    image_folder: str
    classes: tuple[str, ...] | None
    voc: VocFolders | None = None


def annotation_sources(cfg: Config, splits: Iterable[str]) -> Iterator[AnnotationSource]:
    """Yield the local annotation files in COCO's or Pascal VOC's format that a config names.

    Args:
        cfg: The config.
        splits: Out of ``"train"``, ``"val"``, ``"test"``.
    """
    for split in splits:
        loader = cfg.get(f"{split}_dataloader")
        if not loader:
            continue
        for key, dataset in leaf_datasets(loader["dataset"], f"{split}_dataloader.dataset"):
            source = _source(key, dataset)
            if source is not None:
                yield source


def _source(key: str, dataset: Mapping[str, Any]) -> AnnotationSource | None:
    """Where the annotations of a data set are, or None where they are none that are checked."""
    kind, file = dataset.get("type"), dataset.get("ann_file")
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    if not isinstance(cls, type) or not file or generates_data(dataset):
        return None
    if dataset.get("backend_args") or "://" in file:
        return None
    root, prefix = dataset.get("data_root") or "", dataset.get("data_prefix") or {}
    standard = getattr(cls, "METAINFO", {}).get("classes")
    declared = (dataset.get("metainfo") or {}).get("classes") or standard
    classes = tuple(declared) if isinstance(declared, list | tuple) else None
    file = osp.join(root, file)
    if issubclass(cls, CocoDataset):
        return AnnotationSource(key, file, osp.join(root, prefix.get("img", "")), classes)
    # Formats of their own are derived from it too, as that of WIDER FACE.
    if getattr(cls, "load_data_list", None) is not XMLDataset.load_data_list:
        return None
    # MMDetection joins the prefixes that are given with the root, and no others.
    base = osp.join(root, prefix["sub_data_root"]) if "sub_data_root" in prefix else ""
    images = osp.join(base, dataset.get("img_subdir") or "JPEGImages")
    annotations = osp.join(base, dataset.get("ann_subdir") or "Annotations")
    least = (dataset.get("filter_cfg") or {}).get("bbox_min_size") or 0
    voc = VocFolders(file, annotations, images, classes, least)
    return AnnotationSource(key, file, images, classes, voc)


def report(source: AnnotationSource, image_check: ImageCheck) -> DataReport:
    """Check an annotation file, or remember what an earlier check of the same content found.

    What would stop a training is not remembered, so that it is seen when it is mended.

    Args:
        source: The file.
        image_check: How closely its images are looked at.

    Raises:
        ValueError: The file is not in its format.
    """
    digest = hashlib.sha256(Path(source.file).read_bytes())
    least = source.voc.least if source.voc else None
    asked = [_VERSION, source.classes, osp.abspath(source.image_folder), image_check, least]
    for path in map(source.voc.xml, source.voc.listed()) if source.voc else ():
        digest.update(path.read_bytes() if path.is_file() else b"")
    digest.update(json.dumps(asked).encode())
    remembered = _cache_folder() / f"{digest.hexdigest()}.json"
    try:
        return DataReport.of_dict({**json.loads(remembered.read_text()), "file": source.file})
    except (OSError, ValueError, KeyError, TypeError):
        # Never checked, or half a file: it is checked again.
        pass
    found = _check(source, image_check)
    if found.of("stop"):
        # It may be mended without a change of this file, as by an image that is put back.
        return found
    try:
        write_file(remembered, json.dumps(found.to_dict()))
    except OSError as error:
        print_log(f"the check of {source.file} is not remembered: {error}", "current")
    return found


def _check(source: AnnotationSource, image_check: ImageCheck) -> DataReport:
    if source.voc is not None:
        return check_voc(source.voc, image_check)
    content = read_annotations(source.file)
    return check_annotations(content, source.file, source.classes, source.image_folder, image_check)


def check_content(cfg: Config) -> list[str]:
    """Check the training and validation data of a config before a training.

    Args:
        cfg: The config.

    Returns:
        What MMDetection would leave out without a word, and what else is odd: a warning per kind
        and file.

    Raises:
        ValueError: The annotations spoil a training or end it in the middle, or hold nothing that
            a detector can learn.
    """
    _check_evaluators(cfg)
    warnings: list[str] = []
    usable: list[bool] = []
    counts: list[str] = []
    for source in _shared(annotation_sources(cfg, ("train", "val"))):
        found = _report_at_start(source)
        warnings += _warnings(source, found)
        if not source.key.startswith("train_"):
            if not found.usable:
                raise ValueError(
                    f"{source.key}.ann_file={source.file!r} holds {found.annotations} annotations "
                    f"on {found.images} images and no box of metainfo.classes that could be found: "
                    "a validation would measure nothing. Set it to data with objects, or "
                    "val_dataloader, val_cfg and val_evaluator to None."
                )
            continue
        usable.append(bool(found.usable))
        counts.append(
            f"{found.file}: {found.annotations} annotations on {found.images} images"
            + "".join(f", {finding}" for finding in found.findings)
            + ("" if source.classes else f", metainfo.classes={source.classes}")
        )
    if usable and not any(usable):
        raise ValueError(
            "train_dataloader.dataset holds no box that a detector could learn from. "
            f"{'; '.join(counts)}. Set ann_file and metainfo.classes to data with objects, or "
            "mend the file by tbd check-data --fix FOLDER."
        )
    return warnings


def _check_evaluators(cfg: Config) -> None:
    """Refuse a metric of other images than are validated, which fails after the first epoch."""
    metrics = cfg.get("val_evaluator")
    loaded = [source for source in annotation_sources(cfg, ("val",)) if source.voc is None]
    for index, metric in enumerate(metrics if isinstance(metrics, list | tuple) else [metrics]):
        file = metric.get("ann_file") if isinstance(metric, Mapping) else None
        if not isinstance(file, str) or len(loaded) != 1 or not osp.isfile(file):
            continue
        source = loaded[0]
        if not file.endswith(".json") or not osp.isfile(source.file):
            continue
        if osp.realpath(file) == osp.realpath(source.file):
            continue
        known = {image["id"] for image in read_annotations(file)["images"]}
        images = [image["id"] for image in read_annotations(source.file)["images"]]
        if missing := [number for number in images if number not in known]:
            many = isinstance(metrics, list | tuple)
            place = f"val_evaluator[{index}]" if many else "val_evaluator"
            raise ValueError(
                f"{place}.ann_file={file!r} lacks {len(missing)} of the {len(images)} images of "
                f"{source.key} ({source.file}; first: id {missing[0]!r}). Give both the same file."
            )


def _shared(sources: Iterable[AnnotationSource]) -> list[AnnotationSource]:
    """Name a file that several data sets read in the same way once, by all of their keys."""
    keys: dict[AnnotationSource, list[str]] = {}
    for source in sources:
        keys.setdefault(source._replace(key=""), []).append(source.key)
    return [source._replace(key=" and ".join(names)) for source, names in keys.items()]


def _report_at_start(source: AnnotationSource) -> DataReport:
    """Check one file as a training start does, and stop at what spoils it."""
    # A file that is not there, the check of files has named.
    bytes_of_one = _BYTES_OF_A_NAME if source.voc else _BYTES_OF_AN_IMAGE
    many = osp.isfile(source.file) and osp.getsize(source.file) > _MOST_IMAGES * bytes_of_one
    found = report(source, "none" if many else "header")
    if faults := found.of("stop"):
        place = ""
        if any("not there" in str(fault) for fault in faults):
            place = f"Images are looked for in {source.image_folder!r}, see data_prefix. "
        raise ValueError(
            f"{source.key}.ann_file={source.file!r} has {'; '.join(map(str, faults))}. {place}"
            "Mend the file, or let tbd check-data --fix FOLDER write a cleaned copy."
        )
    return found


def _warnings(source: AnnotationSource, found: DataReport) -> Iterator[str]:
    if rest := [str(finding) for finding in found.of("left out")]:
        yield (
            f"{source.key}: MMDetection leaves out of {source.file}: {'; '.join(rest)}. Mend what "
            "was meant to be learned from; tbd check-data tells more."
        )
    if rest := [str(finding) for finding in found.of("note") if "image" in finding.kind]:
        yield (
            f"{source.key}: {source.file} has {'; '.join(rest)}. Check the first of them; tbd "
            "check-data --fix FOLDER corrects sizes in a copy."
        )


def _cache_folder() -> Path:
    base = os.environ.get(CACHE_VARIABLE) or osp.join(
        os.environ.get("XDG_CACHE_HOME") or osp.expanduser("~/.cache"), "tbd"
    )
    return Path(base, "data_checks")
