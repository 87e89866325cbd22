"""Distillation methods by name, with the terms and weights that suit a kind of detector."""

import copy
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tbd.compat import configs_dir
from tbd.detectors import resolve_model_config
from tbd.engine.config import load_config
from tbd.studies.comparison.runs import parse_options

PLAIN = "plain"
"""What stands for the student without a teacher."""

TBD_TERMS = ("hd", "tfd")

OPTION = ":"
"""Comes before each option of a method."""

_ALIASES = {"factor-transfer": "ft"}
_FOLDERS = {name: folder for folder, name in _ALIASES.items()}
_SAME_SETTINGS = "_r101_r50"

# Methods that no folder of their own holds: where their terms stand, and which of them count.
_PARTS = {
    "hd": ("_base_/tbd_terms.py", ("hd",)),
    "tfd": ("_base_/tbd_terms.py", ("tfd",)),
    "tbd": ("_base_/tbd_terms.py", TBD_TERMS),
    "tbd-recurrent": ("tbd/tbd_retinanet_r101_r50_recurrent.py", TBD_TERMS),
    "tbd-auto": ("tbd/tbd_retinanet_r101_r50_auto.py", TBD_TERMS),
    "roi": ("tbd/tbd_faster-rcnn_r101_r50_roi.py", ("roi",)),
}


@dataclass(frozen=True)
class Method:
    """What a config needs in order to distil by a method.

    Attributes:
        distill: Name → config of each term.
        hooks: Custom hooks that the terms rely on.
        source: Config that all this comes from.
    """

    distill: Mapping[str, Mapping[str, Any]]
    hooks: tuple[Mapping[str, Any], ...]
    source: str


def method_names() -> list[str]:
    """Names of all methods: TBD and its parts, then every folder of shipped configs by a method."""
    folders = {path.parent.name for path in configs_dir().glob("*/*.py") if _is_of_folder(path)}
    return [*_PARTS, *sorted({_ALIASES.get(name, name) for name in folders} - set(_PARTS))]


def canonical_name(name: str) -> str:
    """The name under which a method is known.

    Args:
        name: A method, by any of its names, with options of its terms or without:
            ``hd:norm=peak:weighted=False``.

    Returns:
        The method's own name, with the options as they were.

    Raises:
        ValueError: There is no such method; names the nearest.
    """
    asked, *options = name.strip().split(OPTION)
    found = _ALIASES.get(asked.lower(), asked.lower())
    known = [PLAIN, *method_names()]
    if found in known:
        return OPTION.join([found, *options])
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.4)
    hint = f"the nearest is {near[0]!r}; " if near else ""
    raise ValueError(f"--terms: there is no method {name!r}; {hint}there are {', '.join(known)}.")


def variant_name(pair: str, terms: str) -> str:
    """Name of the config that trains a pair by some methods.

    Args:
        pair: Name of the config that the pair is known by, such as ``tbd_retinanet_shapes``.
        terms: Canonical names of methods, joined by ``+``.

    Returns:
        As the shipped configs are named: ``fgd_retinanet_shapes``.
    """
    # Some file systems know no colon.
    terms = terms.replace(OPTION, "-")
    first, _, rest = pair.partition("_")
    known = {PLAIN, *method_names()}
    return f"{terms}_{rest if rest and known.issuperset(first.split('+')) else pair}"


def find_method(name: str, family: str) -> Method:
    """Read the terms of a method from the shipped config that is nearest to a detector.

    Args:
        name: Name of the method, a canonical one.
        family: Kind of detector, see :func:`detector_family`.

    Returns:
        The terms, with the weights that their paper gives for the kind of detector, or, where it
        gives none, for RetinaNet.
    """
    if name in _PARTS:
        inside, keys = _PARTS[name]
        path = configs_dir() / inside
        cfg = load_config(str(path))
        terms = cfg.distillation.terms if "distillation" in cfg else {}
        terms = cfg.model.distill if "model" in cfg else terms
        return Method({key: terms[key].to_dict() for key in keys}, (), inside)
    path = _nearest_config(name, family)
    return method_of(load_config(str(path)), str(path.relative_to(configs_dir())))


def method_of(cfg: Config, source: str) -> Method:
    """The method by which a config distils.

    Args:
        cfg: A distillation.
        source: Its name.
    """
    terms = {key: term.to_dict() for key, term in cfg.model.distill.items() if term}
    hooks = tuple(copy.deepcopy(dict(hook)) for hook in cfg.get("custom_hooks", ()))
    return Method(terms, tuple(hook for hook in hooks if _is_of_term(hook)), source)


def with_options(method: Method, name: str) -> Method:
    """Set options of a method's terms.

    Args:
        method: The method.
        name: Its name, with options: ``hd:norm=peak``, or where it has several terms
            ``tbd:hd.norm=peak:tfd.weight_generator=recurrent``.

    Raises:
        ValueError: An option has no value, or does not say which term it is of.
    """
    cfg = Config({"distill": copy.deepcopy(dict(method.distill))})
    for option in name.split(OPTION)[1:]:
        key, assigned, _ = option.partition("=")
        term, _, argument = key.partition(".")
        if term not in method.distill and len(method.distill) == 1:
            term, argument = next(iter(method.distill)), key
        if not assigned or not argument or term not in method.distill:
            prefixes = [""] if len(method.distill) == 1 else [f"{t}." for t in method.distill]
            forms = " or ".join(f"{OPTION}{prefix}ARGUMENT=VALUE" for prefix in prefixes)
            types = " or ".join(str(term["type"]) for term in method.distill.values())
            raise ValueError(
                f"--terms {name}: {option!r} sets nothing. Write {forms}, an argument of {types}."
            )
        cfg.merge_from_dict({f"distill.{term}.{argument}": parse_options([option])[key]})
    return Method(cfg.distill.to_dict(), method.hooks, method.source)


def merge(methods: Iterable[tuple[str, Method]]) -> Method:
    """Put the terms of several methods beside one another.

    Args:
        methods: Name → method.

    Raises:
        ValueError: Two of them have a term of the same name.
    """
    distill: dict[str, Mapping[str, Any]] = {}
    hooks: list[Mapping[str, Any]] = []
    sources: list[str] = []
    for name, method in methods:
        twice = sorted(distill.keys() & method.distill.keys())
        if twice:
            raise ValueError(
                f"--terms: {name} brings the term {', '.join(twice)} a second time; leave it out."
            )
        distill |= method.distill
        hooks += [hook for hook in method.hooks if hook not in hooks]
        sources += [method.source] if method.source not in sources else []
    return Method(distill, tuple(hooks), ", ".join(sources))


def detector_family(student: Any, options: Mapping[str, Any] | None = None) -> str:
    """Kind of a detector as the shipped configs name it, such as ``retinanet`` or ``faster-rcnn``.

    Args:
        student: What ``model.student`` of a distillation holds.
        options: Its ``student_options``.
    """
    model = resolve_model_config(student, options, key="model.student")
    # Papers give one set of weights for two-stage detectors, whatever the second stage is.
    return "faster-rcnn" if "roi_head" in model else str(model.type).lower()


def _nearest_config(name: str, family: str) -> Path:
    folder = _FOLDERS.get(name, name)
    paths = sorted((configs_dir() / folder).glob(f"{folder}_*.py"))
    for kind in (family, "retinanet"):
        own = [path for path in paths if path.stem.startswith(f"{folder}_{kind}_")]
        same = [path for path in own if path.stem.endswith(_SAME_SETTINGS)]
        if own:
            return (same or own)[0]
    return paths[0]


def _is_of_folder(path: Path) -> bool:
    return path.stem.startswith(f"{path.parent.name}_")


def _is_of_term(hook: Mapping[str, Any]) -> bool:
    return str(hook.get("type")) == "tbd.ParaphraserPhaseHook"
