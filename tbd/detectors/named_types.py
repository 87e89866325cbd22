"""Configs in MMEngine's pure Python style, with the registered names in place of classes.

``type=RetinaNet`` after an import and ``type="RetinaNet"`` mean the same. Whatever reads configs
compares and writes names.
"""

import importlib
from typing import Any

import mmdet.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

_REGISTRIES = tuple(item for item in vars(mmdet.registry).values() if isinstance(item, Registry))


def with_named_types(cfg: Config) -> Config:
    """Return a config whose types are all names, the same config where they are already.

    Args:
        cfg: A config, as MMEngine loads it.
    """
    content = cfg.to_dict()
    if not _name_types(content):
        return cfg
    return Config(content, filename=cfg.filename)


def _name_types(node: Any) -> bool:
    """Put names in place of classes, in place; return whether there were any."""
    changed = False
    if isinstance(node, dict):
        kind = node.get("type")
        name = _registered_name(kind)
        if name != kind:
            node["type"], changed = name, True
        items: Any = list(node.values())
    else:
        items = node if isinstance(node, list | tuple) else ()
    for item in items:
        changed = _name_types(item) or changed
    return changed


def _imported(name: str) -> Any:
    """The class of a dotted name, or None.

    MMEngine's own function looks from the top, attribute by attribute, and takes a function for the
    module of the same name, as in ``mmdet.models.losses.smooth_l1_loss.L1Loss``.
    """
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), last, None)
    except ImportError:
        return get_object_from_string(name)


def _registered_name(kind: Any) -> Any:
    """The name that a class is registered by, or what was given where there is none."""
    # A dotted name is how MMEngine writes a class that a config imports.
    is_dotted = isinstance(kind, str) and kind.count(".") > 1
    cls = _imported(kind) if is_dotted else kind
    name = getattr(cls, "__name__", None)
    if name is None or isinstance(cls, str):
        return kind
    scoped = f"tbd.{name}" if str(cls.__module__).startswith("tbd.") else name
    if any(registry.get(scoped) is cls for registry in _REGISTRIES):
        return scoped
    for registry in _REGISTRIES:
        # Some are registered by another name, such as PretrainedInit as Pretrained.
        for node in (registry, registry.parent):
            for key, value in node.module_dict.items() if node else ():
                if value is cls:
                    return key
    return kind if isinstance(kind, str) else f"{cls.__module__}.{name}"
