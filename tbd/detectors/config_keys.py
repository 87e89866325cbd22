"""Checks of a model's config: misspelt keys that nothing reads, and values that mean nothing."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mmdet.registry import MODELS, TASK_UTILS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS
from mmengine.registry import DefaultScope

from tbd.arguments import advice, check_value, nearest
from tbd.foreign_arguments import check_parts

# Settings that are plain dicts, read key by key, so that a misspelt key goes unseen.
_SETTINGS = ("train_cfg", "test_cfg")
_PARTS = ("backbone", "neck", "rpn_head", "bbox_head", "roi_head", "mask_head")
_NUMBERS: dict[str, Any] = {
    "score_thr": float,
    "iou_threshold": float,
    "iou_thr": float,
    "pos_iou_thr": float,
    "neg_iou_thr": float,
    "min_pos_iou": float,
    "min_bbox_size": float,
    "nms_pre": int,
    "max_per_img": int,
    "loss_weight": float,
}
_SUPPRESSION = {
    "nms": ("iou_threshold", "iou_thr", "offset", "score_threshold", "max_num"),
    "soft_nms": ("iou_threshold", "iou_thr", "sigma", "min_score", "method", "offset"),
}
_OF_BATCHED_NMS = ("type", "class_agnostic", "split_thr", "max_num")
# Of an anchor generator.
_POSITIVE = ("ratios", "scales", "strides", "octave_base_scale", "scales_per_octave", "base_sizes")

_NEAR = 0.75
# cfg.get("name"), cfg["name"], cfg.name, "name" in cfg
_LOOKED_UP = re.compile(
    r"""cfg(?:\.get\(|\.pop\(|\[)\s*['"](\w+)|cfg\.(\w+)|['"](\w+)['"] (?:not )?in [\w.]*cfg"""
)


def check_model_keys(config: Mapping[str, Any], key: str) -> None:
    """Refuse misspelt keys of ``train_cfg`` and ``test_cfg``, and values that mean nothing.

    A key is taken for misspelt if none of the model's classes reads it and one that they do read
    is alike. MMDetection's own configs have keys that nothing reads, such as ``debug``.

    Args:
        config: Model config.
        key: Its config key, for messages.

    Raises:
        TypeError: A part is of the wrong kind.
        ValueError: A key is misspelt, or a size or ratio of anchors, or a deviation of images, is
            not positive.
    """
    _check_settings(config, key)
    with DefaultScope.overwrite_default_scope("mmdet"):
        # Some types are looked up elsewhere, such as those of layers.
        check_parts(config, key, (ROOT_MODELS, ROOT_TASK_UTILS), names=False)
    for name in _PARTS:
        if name in config and not isinstance(config[name], Mapping | None):
            check_value(config[name], dict[str, Any] | list[Any], f"{key}.{name}")
    if "backbone" in config and config["backbone"] is None:
        raise ValueError(
            f"{key}.backbone=None leaves {config.get('type')} without a backbone; give it one, or "
            "leave the key out of what is merged over it."
        )
    for place, part in _dicts(config, key):
        _check_numbers(part, place)
        _check_suppression(part.get("nms"), f"{place}.nms")
        if "AnchorGenerator" in str(part.get("type")):
            _check_anchors(part, place)
    _check_preprocessor(config.get("data_preprocessor"), f"{key}.data_preprocessor")


def _check_settings(config: Mapping[str, Any], key: str) -> None:
    """Refuse keys of settings that nothing reads and that look like one that is read."""
    read: set[str] | None = None
    for name in _SETTINGS:
        check_value(config.get(name), dict[str, Any] | None, f"{key}.{name}")
        for place, setting in _plain_keys(config.get(name), f"{key}.{name}"):
            read = _keys_read(config) if read is None else read
            if setting in read:
                continue
            near = nearest(setting, sorted(read), _NEAR)
            if near is not None:
                raise ValueError(
                    f"{place}.{setting} is read by no part of {config.get('type')}; did you mean "
                    f"{place}.{near}?"
                )


def _plain_keys(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield place and name of each key, but for those of parts with a type, which check them."""
    if isinstance(node, Mapping) and "type" not in node:
        for name, item in node.items():
            yield key, str(name)
            yield from _plain_keys(item, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _plain_keys(item, f"{key}[{index}]")


def _keys_read(config: Mapping[str, Any]) -> set[str]:
    """Names that the classes of a model look up in their settings."""
    found = {"type"}
    with DefaultScope.overwrite_default_scope("mmdet"):
        for kind in set(_types(config)):
            cls = kind if isinstance(kind, type) else MODELS.get(kind) or TASK_UTILS.get(kind)
            for base in getattr(cls, "__mro__", ()):
                found |= _keys_in_source(base)
    return found


@cache
def _keys_in_source(cls: type) -> frozenset[str]:
    if not str(cls.__module__).startswith(("mmdet", "tbd", "mmcv")):
        return frozenset()
    source = inspect.getsource(inspect.getmodule(cls) or cls)
    return frozenset(name for match in _LOOKED_UP.findall(source) for name in match if name)


def _types(node: Any) -> Iterator[Any]:
    return (
        part["type"] for _, part in _dicts(node, "") if isinstance(part.get("type"), str | type)
    )


def _dicts(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield key and content of every dict in a config, the innermost first."""
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from _dicts(item, f"{key}.{name}")
        yield key, node
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _dicts(item, f"{key}[{index}]")


def _check_numbers(part: Mapping[str, Any], key: str) -> None:
    """Check the kinds of settings that are read by name, and the signs of weights of losses."""
    for name, item in part.items():
        if name in _NUMBERS and not isinstance(item, Mapping | list | tuple | None):
            check_value(item, _NUMBERS[name], f"{key}.{name}")
        if name == "loss_weight" and isinstance(item, int | float) and item < 0:
            raise ValueError(
                f"{key}.loss_weight={item} must not be negative: the loss would be made larger."
            )


def _check_suppression(settings: Any, key: str) -> None:
    """Check the names of NMS's settings, which MMDetection looks up at the first image only."""
    if not isinstance(settings, Mapping):
        return
    kind = settings.get("type", "nms")
    if kind not in _SUPPRESSION:
        near = nearest(str(kind), _SUPPRESSION, _NEAR)
        if near is not None:
            raise ValueError(f"{key}.type={kind!r} is no NMS; did you mean {near!r}?")
        return
    names = (*_SUPPRESSION[kind], *_OF_BATCHED_NMS)
    for name in settings:
        if name not in names:
            raise ValueError(
                f"{key}.{name}={settings[name]!r} is no argument of {kind}; "
                f"{advice(str(name), names)}"
            )


def _check_anchors(generator: Mapping[str, Any], key: str) -> None:
    for name in _POSITIVE:
        for number in _flat(generator.get(name)):
            if isinstance(number, int | float) and not number > 0:
                raise ValueError(
                    f"{key}.{name}={generator[name]!r} must be positive, each of them."
                )


def _check_preprocessor(config: Any, key: str) -> None:
    """Refuse what no image can be normalised by."""
    check_value(config, dict[str, Any] | None, key)
    for name in ("mean", "std"):
        numbers: Any = (config or {}).get(name)
        check_value(numbers, Sequence[float] | None, f"{key}.{name}")
        if name == "std" and any(number <= 0 for number in numbers or ()):
            raise ValueError(f"{key}.std={list(numbers)} must be positive, each of them.")


def _flat(node: Any) -> Iterator[Any]:
    if isinstance(node, list | tuple):
        for item in node:
            yield from _flat(item)
    else:
        yield node
