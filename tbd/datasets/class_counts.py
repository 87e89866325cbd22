"""How often each class occurs in a data set."""

from typing import Any


def count_instances(dataset: Any) -> list[int]:
    """Count the annotated boxes of each class, as often as an epoch shows them.

    Wrappers that repeat images (``RepeatDataset``, ``ClassBalancedDataset``) count with their
    repetitions; images that the data set filters out and regions to be ignored do not count.
    Nothing is decoded or augmented.

    Args:
        dataset: A detection data set of MMDetection, or a wrapper around one.

    Returns:
        Number of boxes of each class of ``dataset.metainfo["classes"]``.

    Raises:
        ValueError: The data set names no classes, or holds labels beyond them.
    """
    classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
    if not classes:
        raise ValueError(
            f"the classes of {type(dataset).__name__} cannot be counted: its metainfo names none"
        )
    counts = [0] * len(classes)
    for index in range(len(dataset)):
        for instance in dataset.get_data_info(index).get("instances", ()):
            if instance.get("ignore_flag"):
                continue
            label = instance["bbox_label"]
            if not 0 <= label < len(counts):
                raise ValueError(
                    f"image {index} of {type(dataset).__name__} holds label {label}, but "
                    f"metainfo.classes names {len(counts)} classes"
                )
            counts[label] += 1
    return counts
