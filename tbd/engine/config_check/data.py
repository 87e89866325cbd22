"""The data loaders of a config, and the data sets in them."""

import difflib
from collections.abc import Mapping
from typing import Any

from tbd.arguments import check_value
from tbd.engine.config_check.values import check_count, refuse_near, shorten

_METAINFO = ("classes", "palette")

_FILTERS: dict[str, Any] = {"filter_empty_gt": bool, "min_size": int, "bbox_min_size": int | None}

_LOADER_KINDS: dict[str, Any] = {
    "batch_size": int | None,
    "num_workers": int | None,
    "drop_last": bool | None,
    "persistent_workers": bool | None,
    "pin_memory": bool | None,
    "sampler": dict[str, Any] | None,
}

_DATASET_KINDS: dict[str, Any] = {
    "type": str | type,
    "ann_file": str,
    "data_root": str,
    "data_prefix": dict[str, Any],
    "metainfo": dict[str, Any],
    "filter_cfg": dict[str, Any],
    "indices": int | list[int],
    "serialize_data": bool,
    "test_mode": bool,
    "lazy_init": bool,
    "datasets": list[dict[str, Any]],
    "dataset": dict[str, Any],
}


def check_loader(loader: Mapping[str, Any], split: str) -> None:
    """Check a data loader and its data set.

    Args:
        loader: The config's ``<split>_dataloader``.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A name is misspelt, or a value has no effect or a harmful one.
    """
    place = f"{split}_dataloader"
    if "dataset" not in loader:
        keys = ", ".join(map(str, loader)) or "nothing"
        near = difflib.get_close_matches("dataset", [*map(str, loader)], n=1)
        meant = f"; did you mean dataset by {near[0]}?" if near else "; give it one."
        raise ValueError(f"{place} has no dataset, but {keys}{meant}")
    _check_dataset(loader["dataset"], f"{place}.dataset", split)
    for name, kind in _LOADER_KINDS.items():
        check_value(loader.get(name), kind, f"{place}.{name}")


def _check_dataset(dataset: Any, key: str, split: str) -> None:
    """Check the keys of a data set, or of those inside a wrapper, that tbd reads itself."""
    check_value(dataset, dict[str, Any], key)
    if split == "train" and dataset.get("test_mode"):
        raise ValueError(
            f"{key}.test_mode={dataset['test_mode']} lets images without boxes in, whatever "
            "filter_cfg says, and stops at none that cannot be read; set it to False for training."
        )
    if dataset.get("pipeline") == []:
        raise ValueError(f"{key}.pipeline=[] loads nothing; give it the steps that load an image.")
    for name, kind in _DATASET_KINDS.items():
        if dataset.get(name) is not None:
            check_value(dataset[name], kind, f"{key}.{name}")
    _check_metainfo(dataset.get("metainfo") or {}, f"{key}.metainfo")
    for name, folder in (dataset.get("data_prefix") or {}).items():
        check_value(folder, str, f"{key}.data_prefix.{name}")
    for name, value in (dataset.get("filter_cfg") or {}).items():
        refuse_near(name, value, _FILTERS, f"{key}.filter_cfg.")
        if name in _FILTERS:
            check_value(value, _FILTERS[name], f"{key}.filter_cfg.{name}")
    chosen = dataset.get("indices")
    if chosen is not None and ((isinstance(chosen, int) and chosen < 1) or chosen == []):
        raise ValueError(f"{key}.indices={chosen} leaves no image; set how many are to be used.")
    _check_inner_datasets(dataset, key, split)


def _check_metainfo(metainfo: Mapping[str, Any], key: str) -> None:
    for name, value in metainfo.items():
        if name.lower() in _METAINFO and name not in _METAINFO:
            raise ValueError(
                f"{key}.{name}={shorten(value)} is read by nothing; did you mean {name.lower()}?"
            )
        refuse_near(name, value, _METAINFO, f"{key}.")


def _check_inner_datasets(dataset: Mapping[str, Any], key: str, split: str) -> None:
    if dataset.get("datasets") == []:
        raise ValueError(f"{key}.datasets=[] joins nothing; give it one data set or more.")
    if isinstance(dataset.get("dataset"), Mapping):
        if "times" in dataset:
            check_count(dataset["times"], f"{key}.times")
        _check_dataset(dataset["dataset"], f"{key}.dataset", split)
    for index, inner in enumerate(dataset.get("datasets") or ()):
        _check_dataset(inner, f"{key}.datasets[{index}]", split)
