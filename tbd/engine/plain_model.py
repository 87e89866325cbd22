"""MMDetection's own parts in place of those of ``tbd`` that only training needs."""

import copy
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import MODELS


def plain_model(config: ConfigDict) -> ConfigDict:
    """Make a detector's config buildable without ``tbd``, as far as inference allows it.

    A loss of ``tbd`` becomes MMDetection's cross entropy, which reads the same logits and has no
    weights either. A head that names a ``plain_type`` becomes that type, which has the same
    weights and predictions. Other parts of ``tbd`` stay.

    Args:
        config: Model config; it is not changed.

    Returns:
        A new config.
    """
    plain = copy.deepcopy(config)
    _replace(plain)
    return plain


def _replace(node: Any) -> None:
    for key, item in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(item, dict) and str(item.get("type")).startswith("tbd."):
            kind = MODELS.get(item["type"])
            if str(key).startswith("loss_"):
                node[key] = ConfigDict(type="CrossEntropyLoss", **_reading(str(key), kind))
                continue
            item["type"] = getattr(kind, "plain_type", item["type"])
        if isinstance(item, dict | list | tuple):
            _replace(item)


def _reading(key: str, loss: Any) -> dict[str, bool]:
    """Arguments with which the cross entropy reads the logits as the loss does."""
    if key == "loss_mask":
        return {"use_mask": True}
    return {"use_sigmoid": bool(getattr(loss, "use_sigmoid", False))}
