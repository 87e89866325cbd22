"""From the ``distill`` of a config to terms and their schedules."""

from collections.abc import Mapping
from typing import Any, get_args

from mmengine.config import ConfigDict

from tbd.distill.schedule import WeightSchedule
from tbd.distill.term import DistillationTerm, Read
from tbd.registry import MODELS


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


def build_terms(
    configs: Mapping[str, Mapping[str, Any] | None],
) -> tuple[dict[str, DistillationTerm], dict[str, WeightSchedule]]:
    """Build the terms of a distillation.

    Args:
        configs: Config of each term by name, or None for a term that is left
            out. The key ``schedule`` of a config holds the arguments of its
            :class:`WeightSchedule`, whatever the type of the term.

    Returns:
        The terms, and the schedules of those that have one, by name.

    Raises:
        TypeError: if an argument is unknown or of the wrong type.
        ValueError: if a type is no distillation term, or an argument is out of its range.
    """
    terms: dict[str, DistillationTerm] = {}
    schedules: dict[str, WeightSchedule] = {}
    for name, config in configs.items():
        if config is None:
            continue
        arguments = dict(config)
        schedule = arguments.pop("schedule", None)
        kind = MODELS.get(str(arguments.get("type")))
        if not (isinstance(kind, type) and issubclass(kind, DistillationTerm)):
            raise ValueError(
                f"distill.{name}.type={arguments.get('type')!r} is no distillation term; "
                f"there are {', '.join(term_types())}."
            )
        try:
            term = MODELS.build(ConfigDict(arguments))
            if schedule is not None:
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
