"""Whether the labels of data sets mean the classes that a config names."""

import copy
import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmdet.datasets import CocoDataset, XMLDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.runner import Runner

from tbd.arguments import advice
from tbd.detectors.classes import (
    dataset_classes,
    describe_difference,
    file_categories,
    label_names,
    list_names,
    plain_datasets,
)


def check_labels(dataset: Any, key: str, classes: Sequence[str]) -> None:
    """Make sure that the labels of a data set mean the classes of the training.

    Args:
        dataset: A loaded data set, or a wrapper around some (RepeatDataset, ConcatDataset…).
        key: Its config key, for messages.
        classes: Class names of the training data in the order of their labels.

    Raises:
        ValueError: They mean others, or the same in another order.
    """
    for plain in plain_datasets(dataset):
        declared = dataset_classes(plain)
        if declared is None:
            continue
        difference = describe_difference(declared, classes, key, "train_dataloader.dataset")
        if difference:
            raise ValueError(
                f"{key}.metainfo.classes and train_dataloader.dataset.metainfo.classes differ: "
                f"{difference}. Give all data sets of a run the same metainfo.classes."
            )
        if isinstance(plain, CocoDataset):
            _check_names(_categories(plain), label_names(plain), declared, key, plain.ann_file)
        elif isinstance(plain, XMLDataset):
            _check_xml(plain, key, declared)


def check_metrics(evaluator: Any, key: str, classes: Sequence[str]) -> None:
    """Make sure that the annotation files of an evaluator mean these classes too.

    Args:
        evaluator: Config of a metric or a list of them.
        key: Its config key, for messages.
        classes: Class names in the order of their labels.

    Raises:
        ValueError: They mean others, or the same in another order.
    """
    metrics = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
    for index, metric in enumerate(metrics):
        file = metric.get("ann_file") if isinstance(metric, Mapping) else None
        if not isinstance(file, str) or not file.endswith(".json") or not osp.isfile(file):
            continue
        place = f"{key}[{index}]" if metrics is evaluator else key
        found = list(file_categories(file).values())
        _check_names(found, [name for name in found if name in classes], classes, place, file)


def other_datasets(runner: Runner) -> Iterator[tuple[str, Any]]:
    """Yield key and data set of validation and test, where a training has them.

    The training builds that of its validation anyway; that of the test is built for this if its
    files differ and are there.
    """
    cfg = runner.cfg
    seen = []
    if cfg.get("val_dataloader") and runner.val_loop is not None:
        yield "val_dataloader.dataset", runner.val_loop.dataloader.dataset
        seen.append(_content(cfg.val_dataloader.dataset))
    test = (cfg.get("test_dataloader") or {}).get("dataset")
    if test and _content(test) not in seen and _has_its_file(test):
        yield "test_dataloader.dataset", DATASETS.build(copy.deepcopy(test))


def _check_names(
    found: Sequence[str],
    labels: Sequence[str] | None,
    declared: Sequence[str],
    key: str,
    file: str,
) -> None:
    missing = [name for name in declared if name not in found]
    if missing:
        hints = [hint for name in missing if "did you mean" in (hint := advice(name, found))]
        raise ValueError(
            f"{key}.metainfo.classes names {list_names(missing)}, which no category of {file} is "
            f"called; it has {list_names(found)}{': ' + hints[0] if hints else '.'} Their boxes "
            "would be left out; write the names as the file does."
        )
    difference = labels and describe_difference(
        labels, declared, "the annotations", "metainfo.classes"
    )
    if difference:
        raise ValueError(
            f"The labels of {key} do not mean its metainfo.classes: {difference}. MMDetection "
            f"numbers classes in the order of the annotation file ({file}); write its categories "
            "and metainfo.classes in the same order and spelling."
        )


def _check_xml(dataset: XMLDataset, key: str, declared: Sequence[str]) -> None:
    """Look for names that nothing has. One that a file has and nobody names may be left out."""
    present = {
        instance["bbox_label"]
        for index in range(len(dataset))
        for instance in dataset.get_data_info(index)["instances"]
    }
    empty = [name for label, name in enumerate(declared) if label not in present]
    if not empty:
        return
    found = sorted(set(_xml_names(dataset)))
    unnamed = [name for name in found if name not in declared]
    if unnamed:
        raise ValueError(
            f"{key}.metainfo.classes names {list_names(empty)}, of which {dataset.ann_file} has no "
            f"box; its files name {list_names(unnamed)}, which metainfo.classes does not "
            f"({advice(empty[0], unnamed)}) Write the names as the files do."
        )


def _xml_names(dataset: XMLDataset) -> Iterator[str]:
    for name in list_from_file(dataset.ann_file, backend_args=dataset.backend_args):
        path = Path(dataset.sub_data_root, dataset.ann_subdir, f"{name}.xml")
        if path.is_file():
            for found in ElementTree.parse(path).getroot().findall("object/name"):
                yield str(found.text)


def _categories(dataset: CocoDataset) -> list[str]:
    return list(file_categories(dataset.ann_file, dataset.backend_args).values())


def _content(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What of a data set's config says which labels it has."""
    plain = Config(dict(dataset=dataset)).to_dict()["dataset"]
    return {key: value for key, value in plain.items() if key not in ("pipeline", "test_mode")}


def _has_its_file(dataset: Mapping[str, Any]) -> bool:
    """Whether a data set's annotations are there; a training does without those of the test."""
    if isinstance(dataset.get("dataset"), Mapping):
        return _has_its_file(dataset["dataset"])
    if "datasets" in dataset:
        return all(_has_its_file(item) for item in dataset["datasets"])
    file = dataset.get("ann_file")
    return not file or osp.isfile(osp.join(dataset.get("data_root") or "", file))
