"""A longer schedule for a small data set, on which a recipe's epochs are too few steps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tbd.projects.recipe import Recipe

ENOUGH_STEPS = 3000
"""About what a detector with a pretrained backbone takes to learn a small data set."""

MOST_EPOCHS = 100
"""Beyond this a few images are learnt by heart."""

_EPOCH_KEYS = ("begin", "end", "T_max", "milestones")


@dataclass(frozen=True)
class Schedule:
    """How long a detector is trained.

    Attributes:
        epochs: Passes over the data.
        steps: The same in steps of the optimizer.
        settings: What a config says over its recipe; empty where the recipe's own length fits, and
            the rates that its schedule names are those of one device.
    """

    epochs: int
    steps: int
    settings: Mapping[str, Any]


def fit_schedule(recipe: Recipe, images: int) -> Schedule | None:
    """Find how long a recipe should train on some images.

    Args:
        recipe: The recipe.
        images: How many images there are to train on.

    Returns:
        The recipe's own length, or, where that is less than :data:`ENOUGH_STEPS`, more epochs, up
        to :data:`MOST_EPOCHS`; None for a recipe that counts its length in iterations.
    """
    own = recipe.epochs()
    if own is None:
        return None
    steps = math.ceil(images * recipe.repeats() / recipe.batch())
    epochs = max(own, min(MOST_EPOCHS, math.ceil(ENOUGH_STEPS / steps)))
    every = max(1, epochs // 10)
    given = recipe.cfg.get("param_scheduler") or ()
    schedulers = [dict(one) for one in ([given] if isinstance(given, Mapping) else given)]
    # That of a recipe's own length is left alone, unless it would take most of the training.
    longest = epochs * steps // (10 if epochs > own else 3)
    fitting = [
        _scaled(_stretched(dict(one), epochs / own, longest), recipe.rate_factor())
        for one in schedulers
    ]
    settings: dict[str, Any] = {}
    if epochs > own:
        settings["train_cfg"] = {"max_epochs": epochs, "val_interval": every}
    if fitting != schedulers:
        settings["param_scheduler"] = fitting
    if epochs > own:
        settings["default_hooks"] = {"checkpoint": {"interval": every, "max_keep_ckpts": 2}}
    return Schedule(epochs, epochs * steps, settings)


def _scaled(scheduler: dict[str, Any], factor: float) -> dict[str, Any]:
    """A scheduler whose rates are scaled as the optimizer's is; others are parts of that."""
    if "eta_min" in scheduler:
        scheduler["eta_min"] = float(f"{scheduler['eta_min'] * factor:.6g}")
    return scheduler


def _stretched(scheduler: dict[str, Any], factor: float, longest_warm_up: int) -> dict[str, Any]:
    """A scheduler over more epochs; one that counts steps, a warm-up, keeps its length or less."""
    if not scheduler.get("by_epoch", True):
        if scheduler.get("end", 0) > longest_warm_up and scheduler.get("begin", 0) == 0:
            scheduler["end"] = max(1, longest_warm_up)
        return scheduler
    for key in _EPOCH_KEYS:
        value = scheduler.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            scheduler[key] = round(value * factor)
        elif isinstance(value, list | tuple):
            scheduler[key] = [round(item * factor) for item in value]
    return scheduler
