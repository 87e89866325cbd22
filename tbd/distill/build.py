"""From the ``distill`` of a config to terms and their schedules."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, get_args

from mmengine.config import ConfigDict
from torch import nn

from tbd.arguments import advice, check_value
from tbd.distill.schedule import WeightSchedule
from tbd.distill.term import DistillationTerm, Read
from tbd.registry import MODELS

AUTO = "auto"
"""The ``loss_weight`` of a term whose weight is set by the norms of gradients."""


def term_types() -> list[str]:
    """Types of all distillation terms, as configs name them."""
    return sorted(
        f"tbd.{name}"
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, DistillationTerm)
    )


def trial_terms(
    configs: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, Mapping[str, Any] | None]:
    """Configs of terms as a trial needs them, see :attr:`DistillationTerm.trial_options`."""
    trial: dict[str, Mapping[str, Any] | None] = {}
    for name, config in configs.items():
        kind = MODELS.get(str(config.get("type"))) if config else None
        trial[name] = {**config, **getattr(kind, "trial_options", {})} if config else None
    return trial


def check_names(configs: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Refuse names of terms that would not do what they seem to.

    Raises:
        ValueError: if a name cannot be a module's; if it contains ``"loss"``, so that MMEngine
            would take all that the term logs for losses; or if it is set to None, to drop a term
            that is not there, and looks like a misspelling of one that is.
    """
    active = [name for name, config in configs.items() if config is not None]
    for name in configs:
        if not re.fullmatch(r"[A-Za-z_][\w-]*", str(name)) or hasattr(nn.ModuleDict, str(name)):
            raise ValueError(
                f"distill[{name!r}] is no name for a term; take letters, digits and underscores, "
                "and no method of a dict."
            )
        if "loss" in name:
            raise ValueError(
                f"distill.{name}: MMEngine sums all values whose names contain 'loss', and with "
                f"them what {name} only logs; name the term otherwise."
            )
        if configs[name] is None:
            meant = [other for other in active if _is_misspelling(name, other)]
            if meant:
                raise ValueError(
                    f"distill.{name}=None drops no term; did you mean distill.{meant[0]}? Else "
                    f"leave the key out."
                )


def _is_misspelling(name: str, right: str) -> bool:
    # PGD is another method than PKD, and pkd_2 another term than pkd: letters in another order, or
    # long names that are nearly the same, are mistakes.
    if name.startswith(right) or right.startswith(name):
        return False
    alike = difflib.SequenceMatcher(None, name, right).ratio()
    return sorted(name) == sorted(right) or (len(right) > 4 and alike > 0.8)


def build_terms(
    configs: Mapping[str, Mapping[str, Any] | None],
) -> tuple[dict[str, DistillationTerm], dict[str, WeightSchedule]]:
    """Build the terms of a distillation.

    Args:
        configs: Config of each term by name, or None for a term that is left
            out. The key ``schedule`` of a config holds the arguments of its
            :class:`WeightSchedule`, whatever the type of the term; its
            ``loss_weight`` may be ``"auto"``.

    Returns:
        The terms, and the schedules of those that have one, by name.

    Raises:
        TypeError: if an argument is unknown or of the wrong type.
        ValueError: if a type is no distillation term, or an argument is out of its range.
    """
    terms: dict[str, DistillationTerm] = {}
    schedules: dict[str, WeightSchedule] = {}
    check_names(configs)
    for name, config in configs.items():
        if config is None:
            continue
        arguments = dict(config)
        schedule = arguments.pop("schedule", None)
        automatic = arguments.get("loss_weight") == AUTO
        if automatic:
            arguments["loss_weight"] = 1.0
        kind = MODELS.get(str(arguments.get("type")))
        if not (isinstance(kind, type) and issubclass(kind, DistillationTerm)):
            raise ValueError(
                f"distill.{name}.type={arguments.get('type')!r} is no distillation term; "
                f"{advice(str(arguments.get('type')), term_types())}"
            )
        # Under its name without the scope MMEngine would not find it.
        arguments["type"] = kind
        try:
            term = MODELS.build(ConfigDict(arguments))
            if automatic:
                term.weigh_automatically()
            if schedule is not None:
                check_value(schedule, Mapping[str, Any], "schedule")
                schedules[name] = WeightSchedule(**schedule)
        except (TypeError, ValueError) as error:
            raise type(error)(f"distill.{name}: {error}") from error
        unknown = sorted(set(term.reads) - set(get_args(Read)))
        if unknown:
            raise ValueError(
                f"distill.{name}: {type(term).__name__}.reads names {', '.join(unknown)}; a term "
                f"can read {', '.join(get_args(Read))}."
            )
        terms[name] = term
    return terms, schedules
