"""Names of the classes that a detector tells apart."""

from collections.abc import Mapping
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import DATASETS
from mmengine.config import Config

from tbd.detectors.classes import checkpoint_classes, count_classes


def class_names(cfg: Config, loaded: Mapping[str, Any], detector: BaseDetector) -> tuple[str, ...]:
    """Names of a detector's classes: those of its checkpoint, else those of its test data.

    Args:
        cfg: Full config of the plain detector.
        loaded: Its checkpoint.
        detector: The detector.

    Returns:
        A name for each label; its number where there are no names.

    Raises:
        ValueError: They are more or fewer than the detector tells apart.
    """
    count = count_classes(detector)
    names = checkpoint_classes(loaded)
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    if names is None:
        names = (dataset.get("metainfo") or {}).get("classes")
    if names is None and dataset.get("type"):
        kind = DATASETS.get(dataset["type"])
        names = (getattr(kind, "METAINFO", None) or {}).get("classes")
    if names is None or isinstance(names, str):
        names = tuple(str(label) for label in range(count or 0)) if names is None else (names,)
    if count is not None and len(names) != count:
        raise ValueError(
            f"The detector tells {count} classes apart, but {len(names)} have a name. Set "
            "test_dataloader.dataset.metainfo.classes to the classes that it was trained on."
        )
    return tuple(names)
