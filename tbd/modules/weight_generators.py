"""Choice of a task weight generator."""

from collections.abc import Mapping
from typing import Any

from tbd.modules.recurrent_task_weight import RecurrentTaskWeightGenerator
from tbd.modules.task_weight import TaskWeightGenerator
from tbd.registry import MODELS

WeightGenerator = TaskWeightGenerator | RecurrentTaskWeightGenerator
"""Has ``weights(maps of all levels) -> weights of all levels``."""

_KINDS = {"mlp": TaskWeightGenerator, "recurrent": RecurrentTaskWeightGenerator}


def check_weight_generator(kind: str | Mapping[str, Any]) -> None:
    """Make sure that a name is one of a task weight generator, or a config names a type.

    Raises:
        ValueError: if it does not.
    """
    known = "type" in kind if isinstance(kind, Mapping) else kind in _KINDS
    if not known:
        raise ValueError(
            f"weight_generator={kind!r} must be one of {', '.join(_KINDS)}, or a config with "
            "a type."
        )


def build_weight_generator(
    kind: str | Mapping[str, Any], num_levels: int, hidden_channels: int = 16
) -> WeightGenerator:
    """Build the network that balances the two tasks on every level.

    Args:
        kind: ``"mlp"``, ``"recurrent"``, or a config with ``type``.
        num_levels: Number of pyramid levels, for a config that does not name it.
        hidden_channels: Hidden width of what a name stands for.

    Raises:
        ValueError: if ``kind`` is another name, or an argument is out of its range.
    """
    check_weight_generator(kind)
    if isinstance(kind, str):
        kind = {"type": _KINDS[kind], "hidden_channels": hidden_channels}
    config = dict(kind)
    cls = MODELS.get(config["type"]) if isinstance(config["type"], str) else config["type"]
    if not isinstance(cls, type):
        raise ValueError(
            f"weight_generator.type={config['type']!r} must be a registered network, such as "
            "'tbd.TaskWeightGenerator'."
        )
    if cls is RecurrentTaskWeightGenerator:
        config.setdefault("num_levels", num_levels)
    return MODELS.build(config)
