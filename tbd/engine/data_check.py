"""Early check that the data which a run needs is there."""

import os.path as osp
from collections.abc import Iterable, Iterator
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.utils import is_abs

_COCO_HINT = (
    "COCO is expected in MMDetection's standard layout, data/coco/ with annotations/, train2017/ "
    "and val2017/ in it; images and annotations are at https://cocodataset.org/#download. "
    "Data that lies elsewhere: --cfg-options data_root=FOLDER"
)
_DATA_HINT = (
    "Set --cfg-options data_root=FOLDER to the folder that holds this data set; for the small sets "
    "of tbd's own configs also the environment variable TBD_DATA to the folder that holds all of "
    "them"
)
_OUTSIDE_HINT = (
    "It does not lie in the config's data_root={!r}, so that --cfg-options data_root=FOLDER would "
    "not move it. Start the command in the folder that the path is relative to, or correct the key"
)


def check_data(cfg: Config, splits: Iterable[str]) -> None:
    """Check that every annotation file which a run will read exists.

    A wrong evaluator path would otherwise come to light after the first epoch only.
    Data sets that write themselves (class attribute ``generates_data = True``) and files in remote
    storage (``backend_args`` set) are not checked.

    Args:
        cfg: The config of the run.
        splits: The parts that will be used, out of ``"train"``, ``"val"``, ``"test"``.

    Raises:
        FileNotFoundError: An annotation file does not exist. The message names the
            config key, the absolute path, and how to get or point to the data.
    """
    for split in splits:
        loader = cfg.get(f"{split}_dataloader")
        if not loader:
            continue
        datasets = list(leaf_datasets(loader["dataset"], f"{split}_dataloader.dataset"))
        for key, dataset in datasets:
            if not generates_data(dataset):
                _check_file(f"{key}.ann_file", dataset, dataset.get("data_root"), cfg)
        if any(generates_data(dataset) for _, dataset in datasets):
            continue
        for key, metric in _metrics(cfg.get(f"{split}_evaluator"), f"{split}_evaluator"):
            _check_file(f"{key}.ann_file", metric, None, cfg)


def leaf_datasets(dataset: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the data sets inside wrappers (RepeatDataset, ConcatDataset, MultiImageMix…)."""
    if isinstance(dataset.get("dataset"), dict):
        yield from leaf_datasets(dataset["dataset"], f"{key}.dataset")
    elif isinstance(dataset.get("datasets"), (list, tuple)):
        for index, item in enumerate(dataset["datasets"]):
            yield from leaf_datasets(item, f"{key}.datasets[{index}]")
    else:
        yield key, dataset


def _metrics(evaluator: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(evaluator, (list, tuple)):
        for index, metric in enumerate(evaluator):
            yield f"{key}[{index}]", metric
    elif isinstance(evaluator, dict):
        yield key, evaluator


def generates_data(dataset: Any) -> bool:
    """Whether the class of a data set, given by its config, writes its data itself."""
    kind = dataset["type"]
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    return getattr(cls, "generates_data", False)


def _check_file(key: str, owner: Any, root: str | None, cfg: Config) -> None:
    ann_file = owner.get("ann_file")
    if not ann_file or owner.get("backend_args") or "://" in ann_file:
        return
    path = ann_file if root is None or is_abs(ann_file) else osp.join(root, ann_file)
    if osp.isfile(path):
        return
    data_root = cfg.get("data_root") or root or ""
    if osp.commonpath([osp.abspath(data_root), osp.abspath(path)]) != osp.abspath(data_root):
        hint = _OUTSIDE_HINT.format(data_root)
    else:
        hint = _COCO_HINT if osp.basename(data_root.rstrip("/")) == "coco" else _DATA_HINT
    raise FileNotFoundError(
        f"{key}: there is no annotation file at {osp.abspath(path)} "
        f"(data_root={root if root is not None else data_root!r}, ann_file={ann_file!r}). {hint}"
    )
