"""Which classes a detector, a checkpoint and a data set mean, and how such lists differ."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.models.detectors.base import BaseDetector
from mmengine.fileio import load
from torch import nn

_SHOWN = 5


def count_classes(detector: BaseDetector) -> int | None:
    """Number of classes that a detector tells apart, or None if it does not say."""
    for owner in (getattr(detector, "roi_head", None), detector):
        head = getattr(owner, "bbox_head", None)
        stages = head if isinstance(head, nn.ModuleList) else [head]
        count = getattr(stages[0], "num_classes", None)
        if isinstance(count, int):
            return count
    return None


def checkpoint_classes(checkpoint: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Class names that a checkpoint was trained for, if it says."""
    meta = checkpoint.get("meta") or {}
    classes = (meta.get("dataset_meta") or {}).get("classes") or meta.get("CLASSES")
    if classes is None:
        return None
    return (classes,) if isinstance(classes, str) else tuple(classes)


def dataset_classes(dataset: Any) -> tuple[str, ...] | None:
    """Class names that a data set declares (``metainfo.classes``), or None if it has none.

    Raises:
        ValueError: It joins data sets that declare different ones.
    """
    found = getattr(dataset, "metainfo", None) or {}
    # Of joined data sets that differ in any of it MMDetection keeps a list.
    lists = [item.get("classes") for item in (found if isinstance(found, list) else [found])]
    for classes in lists[1:]:
        if classes is None or lists[0] is None or tuple(classes) != tuple(lists[0]):
            raise ValueError(
                f"the datasets of one {type(dataset).__name__} have different metainfo.classes, "
                f"{list_names(lists[0] or ())} and {list_names(classes or ())}; labels would mean "
                "other classes in one than in another. Give all of them the same list."
            )
    return None if lists[0] is None else tuple(lists[0])


def label_names(dataset: Any) -> tuple[str, ...] | None:
    """Class names that the labels of a data set stand for.

    MMDetection numbers the classes of a COCO file in the file's own order, whatever the order of
    ``metainfo.classes``, and leaves out those that the file lacks.

    Args:
        dataset: A loaded data set, not a wrapper around one.

    Returns:
        The name behind each label; of other formats, which follow it, the declared list.
    """
    numbers: Mapping[int, int] | None = getattr(dataset, "cat2label", None)
    if numbers is None or not isinstance(dataset, CocoDataset):
        return dataset_classes(dataset)
    names = file_categories(dataset.ann_file, dataset.backend_args)
    return tuple(names[number] for number in sorted(numbers, key=numbers.__getitem__))


def file_categories(file: str, backend_args: Mapping[str, Any] | None = None) -> dict[int, str]:
    """Names of the categories of a COCO file by their ids, in the file's order."""
    if backend_args is None and os.path.isfile(file):
        return dict(_local_categories(file, os.stat(file).st_mtime_ns))
    return _read_categories(load(file, file_format="json", backend_args=backend_args))


@functools.lru_cache(maxsize=16)
def _local_categories(file: str, changed: int) -> dict[int, str]:
    return _read_categories(load(file, file_format="json"))


def _read_categories(content: Mapping[str, Any]) -> dict[int, str]:
    return {category["id"]: category["name"] for category in content["categories"]}


def plain_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside wrappers (RepeatDataset, ConcatDataset, MultiImageMix…)."""
    for inner in getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]:
        if inner is None:
            yield dataset
        else:
            yield from plain_datasets(inner)


def describe_difference(
    first: Sequence[str], second: Sequence[str], first_name: str, second_name: str
) -> str | None:
    """Say how two class lists differ.

    Args:
        first: Class names in the order of their indices.
        second: Likewise.
        first_name: What the first list belongs to, such as ``"the teacher"``.
        second_name: What the second one belongs to.

    Returns:
        The difference, or None if they have the same names in the same order.
    """
    if tuple(first) == tuple(second):
        return None
    if sorted(first) == sorted(second):
        index = next(i for i in range(len(second)) if first[i] != second[i])
        return (
            f"the same {len(second)} classes in another order, first at index {index}: "
            f"{first[index]!r} in {first_name}, {second[index]!r} in {second_name}"
        )
    return (
        f"{len(first)} classes in {first_name}, {len(second)} in {second_name}; "
        f"only {first_name} has {list_names([name for name in first if name not in second])}, "
        f"only {second_name} has {list_names([name for name in second if name not in first])}"
    )


def list_names(names: Sequence[str]) -> str:
    """List class names, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(repr(name) for name in names[:_SHOWN]) or "none") + more
