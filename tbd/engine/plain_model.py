"""MMDetection's own parts in place of those of ``tbd`` that only training needs."""

import copy
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import MODELS


def plain_model(config: ConfigDict) -> ConfigDict:
    """Make a detector's config buildable without ``tbd``, as far as inference allows it.

    A loss of ``tbd`` that names a ``plain_loss`` becomes that loss of MMDetection, which reads the
    same predictions and has no weights either. A head that names a ``plain_type`` becomes that
    type, which has the same weights and predictions. Other parts of ``tbd`` stay.

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
            if hasattr(kind, "plain_loss"):
                node[key] = _plain_loss(key, item, kind)
                continue
            item["type"] = getattr(kind, "plain_type", item["type"])
        if isinstance(item, dict | list | tuple):
            _replace(item)


def _plain_loss(key: Any, config: ConfigDict, loss: Any) -> ConfigDict:
    plain = ConfigDict(type=loss.plain_loss)
    if loss.plain_loss == "CrossEntropyLoss":
        # A mask head tells by its key how it calls a loss; other heads ask how it reads logits.
        if key == "loss_mask":
            plain.use_mask = True
        else:
            plain.use_sigmoid = bool(getattr(loss, "use_sigmoid", False))
    elif "loss_weight" in config:
        plain.loss_weight = config.loss_weight
    return plain
