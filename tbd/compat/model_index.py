"""The model index of an installed package is read once, not for every config named from it.

To find ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``, MMEngine reads some hundred YAML files of
MMDetection's model index, in pure Python and anew for each name: four seconds, several times in a
distillation, which names a student, a teacher and what both inherit.
"""

import functools
import os
from typing import Any

import yaml

# LibYAML's loader reads the same values ten times as fast; not every build of PyYAML has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_model_index_once() -> None:
    """Let MMEngine keep what it read of model indexes as long as their files stay as they are."""
    from mmengine.config import utils

    utils.load = _load


def _load(path: str) -> Any:
    state = os.stat(path)
    return _read(path, state.st_mtime_ns, state.st_size)


@functools.cache
def _read(path: str, modified: int, size: int) -> Any:
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=_Loader)
