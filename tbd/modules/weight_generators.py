"""Choice of a task weight generator."""

from collections.abc import Mapping
from typing import Any

from tbd.modules.recurrent_task_weight import RecurrentTaskWeightGenerator
from tbd.modules.task_weight import TaskWeightGenerator
from tbd.registry import MODELS

WeightGenerator = TaskWeightGenerator | RecurrentTaskWeightGenerator
"""Has ``weights(maps of all levels) -> weights of all levels``."""

_KINDS = {"mlp": TaskWeightGenerator, "recurrent": RecurrentTaskWeightGenerator}


def build_weight_generator(kind: str | Mapping[str, Any], num_levels: int) -> WeightGenerator:
    """Build the network that balances the two tasks on every level.

    Args:
        kind: ``"mlp"``, ``"recurrent"``, or a config with ``type``.
        num_levels: Number of pyramid levels, for a config that does not name it.

    Raises:
        ValueError: if ``kind`` is another name.
    """
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(
                f"weight_generator={kind!r} must be one of {', '.join(_KINDS)}, or a config."
            )
        kind = {"type": _KINDS[kind]}
    config = dict(kind)
    cls = MODELS.get(config["type"]) if isinstance(config["type"], str) else config["type"]
    if cls is RecurrentTaskWeightGenerator:
        config.setdefault("num_levels", num_levels)
    return MODELS.build(config)
