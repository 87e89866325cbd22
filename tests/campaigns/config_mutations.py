"""Ways in which the config of a distillation can be wrong."""

import copy
import inspect
import random
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiny import wrapper
from tiny_run import CLASSES, config_dict

from campaigns.outcomes import FREE, Wanted
from tbd.detectors import TeacherStudentDetector
from tbd.distill.build import term_types
from tbd.engine import NEEDED_HOOKS
from tbd.engine.hooks import StopDistillationHook
from tbd.registry import MODELS

NAN, INFINITE = float("nan"), float("inf")
Path = tuple[Any, ...]
# Of a long text a message may show the beginning.
_SHOWN = 40

# What no argument of that kind can be.
_WRONG: dict[Any, tuple[Any, ...]] = {
    bool: ("no", "True", 1, 0.0, [], 1j),
    int: ("3", "x", True, NAN, INFINITE, 1.5, [1], {}, 1j),
    float: ("1", "x", True, NAN, INFINITE, [1], {}, 1j),
    str: (3, True, ["a"], {}, "no such choice", 1j),
    tuple: (3, True, "ab", 1j),
    types.NoneType: (1j,),
}
_TOP_LEVEL = (
    "train_dataloader",
    "optim_wrapper",
    "param_scheduler",
    "default_hooks",
    "custom_hooks",
    "train_cfg",
    "env_cfg",
    "visualizer",
    "randomness",
    "log_level",
    "auto_scale_lr",
    "default_scope",
)


@dataclass(frozen=True)
class Mutation:
    """One way to be wrong.

    Attributes:
        family: Its kind.
        path: Keys from the top of the config to the value that is set.
        value: What is set there.
        renamed: The key of that place that goes, where a key is misspelt.
        words: What a message about it names, beside a part of the value. Default: the key.
    """

    family: str
    path: Path
    value: Any
    renamed: Any = None
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The key and its value."""
        instead = f" instead of {self.renamed}" if self.renamed is not None else ""
        return f"{'.'.join(map(str, self.path))}={str(self.value)[:60]!r}{instead}"

    @property
    def wanted(self) -> Wanted:
        """What a message about it has to name."""
        names = [str(part) for part in self.path if not isinstance(part, int)]
        values = [text[:_SHOWN] for text in _leaves(self.value)]
        if self.family == FREE:
            return Wanted()
        if self.family in ("misspelt key", "wrong name"):
            # The name is what is wrong, not its value.
            return Wanted(self.words or (names[-1],))
        return Wanted(self.words or (names[-1],), tuple(values))

    def applied(self, config: dict[str, Any]) -> dict[str, Any]:
        """A copy of the config with this mutation."""
        changed = copy.deepcopy(config)
        node = changed
        for key in self.path[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        if self.renamed is not None:
            node.pop(self.renamed, None)
        node[self.path[-1]] = self.value
        return changed


def base_config(data_root: Any) -> dict[str, Any]:
    """A config that works: one epoch of two iterations, no validation."""
    model = wrapper(probe_size=64)
    model["distill"]["hd"]["schedule"] = dict(warm_up=1, decay="linear", final=0.5)
    config = config_dict(data_root, model, epochs=1)
    for split in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            config[f"{split}_{part}"] = None
    config["optim_wrapper"]["paramwise_cfg"] = dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
    config["auto_scale_lr"] = dict(enable=False, base_batch_size=16)
    config["custom_hooks"] = [dict(type="tbd.StopDistillationHook", iteration=1)]
    config["log_level"] = "ERROR"
    config["param_scheduler"] = []
    return config


def mutations(config: Mapping[str, Any], seed: int) -> list[Mutation]:
    """All mutations, in an order and with misspellings that the seed decides."""
    rng = random.Random(seed)
    found = [*_kinds(), *_misspellings(config, rng), *_ranges(config), *_classes(config)]
    rng.shuffle(found)
    return found


def _kinds() -> Iterator[Mutation]:
    """Values of the wrong kind for every argument of the wrapper, the terms and a hook."""
    for path, value in _arguments(TeacherStudentDetector, ("model",)):
        yield Mutation("wrong kind", path, value, words=(str(path[-1]), _text(value)))
    for kind in term_types():
        for path, value in _arguments(MODELS.get(kind), ("model", "distill", "term")):
            term = {"type": kind, path[-1]: value}
            words = ("distill.term", str(path[-1]), _text(value))
            yield Mutation("wrong kind", path[:-1], term, words=words)
        yield Mutation("wrong kind", ("model", "distill", "term"), [kind], words=("term",))
    for path, value in _arguments(StopDistillationHook, ("custom_hooks",)):
        hook = {"type": "tbd.StopDistillationHook", path[-1]: value}
        yield Mutation("wrong kind", ("custom_hooks",), [hook], words=(str(path[-1]), _text(value)))
    schedule = ("model", "distill", "hd", "schedule")
    for key, kind in dict(by_epoch=bool, warm_up=float, decay=str, final=float, off=float).items():
        for value in _WRONG[kind]:
            yield Mutation("wrong kind", (*schedule, key), value, words=(key, _text(value)))
    containers = ("model", "default_hooks", "custom_hooks", "optim_wrapper", "train_dataloader")
    for key in (*containers, "train_cfg", "auto_scale_lr", "load_from", "resume"):
        for value in (3, 1j, ["a"]):
            yield Mutation("wrong kind", (key,), value)


def _arguments(cls: Any, place: Path) -> Iterator[tuple[Path, Any]]:
    hints = typing.get_type_hints(inspect.unwrap(cls.__init__))
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or hints.get(name) in (Any, None):
            continue
        default = parameter.default
        kind = type(default) if default is not inspect.Parameter.empty else types.NoneType
        for value in _WRONG.get(kind, (1j,)):
            # A text is right where several are allowed, and told apart by their meaning alone.
            if value == "no such choice" and hints[name] in (str, str | None):
                continue
            if not _is_allowed(value, hints[name]):
                yield (*place, name), value


def _is_allowed(value: Any, hint: Any) -> bool:
    """Whether a union has a member of the value's kind, so that it is no mistake."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [typing.get_origin(member) or member for member in members]
    if isinstance(value, dict):
        return any(kind is Mapping or kind is dict for kind in kinds)
    if isinstance(value, str):
        return str in kinds
    if isinstance(value, list):
        return any(str(kind).endswith(("Sequence'>", "list'>", "tuple'>")) for kind in kinds)
    return False


def _misspellings(config: Mapping[str, Any], rng: random.Random) -> Iterator[Mutation]:
    parts = ("batch_size", "dataset", "sampler", "num_workers")
    loader = {key: config["train_dataloader"][key] for key in parts}
    # Hooks that no Runner has by itself do their work under any name.
    hooks = {k: v for k, v in config["default_hooks"].items() if k not in ("seed", "visualization")}
    places: list[tuple[Path, Mapping[str, Any]]] = [
        ((), {key: config[key] for key in _TOP_LEVEL if config.get(key) is not None}),
        (("model",), {k: v for k, v in config["model"].items() if k != "type"}),
        (("model", "distill", "hd", "schedule"), config["model"]["distill"]["hd"]["schedule"]),
        (("default_hooks",), hooks),
        (("auto_scale_lr",), config["auto_scale_lr"]),
        (("train_cfg",), {"max_epochs": 1, "val_interval": 1}),
        (("train_dataloader",), loader),
        (("optim_wrapper",), config["optim_wrapper"]),
        (("optim_wrapper", "optimizer"), {"momentum": 0.9}),
        (("optim_wrapper", "paramwise_cfg"), config["optim_wrapper"]["paramwise_cfg"]),
        (("optim_wrapper", "paramwise_cfg", "custom_keys"), {"backbone": dict(lr_mult=0.1)}),
        (("default_hooks", "checkpoint"), {"interval": 1, "max_keep_ckpts": 2}),
        (("model", "student", "train_cfg"), config["model"]["student"]["train_cfg"]),
        (("model", "student", "test_cfg"), config["model"]["student"]["test_cfg"]),
        (("model", "student"), {"backbone": config["model"]["student"]["backbone"]}),
    ]
    for place, keys in places:
        for key, value in keys.items():
            for wrong in sorted({_misspelt(key, rng) for _ in range(3)} - {*keys}):
                # A part of the name of a parameter matches it as well.
                if place[-1:] == ("custom_keys",) and wrong in key:
                    continue
                yield Mutation("misspelt key", (*place, wrong), value, key, (wrong,))
    for name in NEEDED_HOOKS:
        wrong = _misspelt(name, rng)
        yield Mutation("misspelt key", ("default_hooks", wrong), None, words=(wrong,))
    yield Mutation("misspelt key", ("model", "distill", "tdf"), None, words=("tdf", "tfd"))
    for kind in term_types():
        for name in inspect.signature(MODELS.get(kind)).parameters:
            wrong = _misspelt(name, rng)
            term = {"type": kind, wrong: 1}
            words = ("distill.term", wrong)
            yield Mutation("misspelt key", ("model", "distill", "term"), term, words=words)


def _misspelt(word: str, rng: random.Random) -> str:
    """Two letters exchanged, one left out, doubled or replaced."""
    while True:
        index = rng.randrange(max(len(word) - 1, 1))
        way = rng.randrange(4)
        if way == 0:
            changed = word[:index] + word[index + 1 : index + 2] + word[index] + word[index + 2 :]
        elif way == 1 and len(word) > 3:
            changed = word[:index] + word[index + 1 :]
        elif way == 2:
            changed = word[: index + 1] + word[index:]
        else:
            changed = word[:index] + rng.choice("aeiounrst") + word[index + 1 :]
        if changed != word and changed.isidentifier():
            return changed


def _ranges(config: Mapping[str, Any]) -> Iterator[Mutation]:
    model = ("model",)
    optimizer = ("optim_wrapper", "optimizer")
    cases: list[tuple[Path, tuple[Any, ...]]] = [
        ((*model, "probe_size"), (0, -64)),
        ((*model, "level_map"), ([(9, 0)], [(0, 9)], [(-1, 0)], [(0,)], [])),
        ((*model, "class_map"), ({9: 0}, {0: 9}, {-1: 0}, [(0, 0), (0, 1)])),
        ((*model, "student_init"), ("copy",)),
        ((*model, "teacher_ckpt"), ("no/such/file.pth",)),
        ((*model, "student"), ("no/such/config.py", "mmdet::no/such.py", {}, {"type": "NoDet"})),
        ((*model, "teacher"), ("no/such/config.py", {}, {"type": "NoDet"})),
        ((*model, "distill", "tfd", "task_weights"), ([NAN, 1], [INFINITE, 1], [1], [-1, 1], "12")),
        ((*model, "distill", "hd", "loss_weight"), (-1, NAN, INFINITE, -INFINITE)),
        ((*model, "distill", "hd", "type"), ("tbd.HarmonyDistilation", "HarmonyLoss", 3, None)),
        ((*model, "distill", "hd", "schedule", "warm_up"), (-1, NAN, 99)),
        ((*model, "distill", "hd", "schedule", "final"), (2, -1, INFINITE)),
        ((*model, "student", "bbox_head", "anchor_generator", "ratios"), ([1, -2], [0.0])),
        ((*model, "student", "bbox_head", "anchor_generator", "scales"), ([-4], [0])),
        ((*model, "student", "bbox_head", "num_classes"), (2, 7)),
        ((*optimizer, "lr"), (NAN, INFINITE, -0.1, "0.1", True, None)),
        (("train_cfg", "max_epochs"), (0, -1, "3", 1.5, True)),
        (("default_hooks", "checkpoint", "interval"), (0, -5, True, "1")),
        (("default_hooks", "loger"), (dict(type="LoggerHook"),)),
        (("train_dataloader", "batch_size"), (0, -2, "2")),
        (("train_dataloader", "drop_last"), (None,)),
    ]
    for path, values in cases:
        for value in values:
            if path[-1] == "drop_last":
                loader = dict(config["train_dataloader"]) | dict(batch_size=99, drop_last=True)
                yield Mutation("wrong value", ("train_dataloader",), loader, words=("drop_last",))
                continue
            yield Mutation("wrong value", path, value)
    for name in ("my_loss", "a.b", "keys"):
        term = dict(type="tbd.HarmonyDistillation")
        yield Mutation("wrong name", (*model, "distill", name), term)
    for hook in (dict(epoch=99), dict(epoch=-1), dict(), dict(epoch=0, iteration=0)):
        stop = [dict(type="tbd.StopDistillationHook", **hook)]
        yield Mutation("wrong value", ("custom_hooks",), stop, words=("StopDistillationHook",))


def _classes(config: Mapping[str, Any]) -> Iterator[Mutation]:
    """Lists of classes that are not those of the file or of the student."""
    place = ("train_dataloader", "dataset", "metainfo")
    lists = [CLASSES[::-1], (*CLASSES[1:], CLASSES[0]), CLASSES[:2], (*CLASSES, "more")]
    for index, name in enumerate(CLASSES):
        for wrong in (name.title(), name[:-1], f"{name} "):
            lists.append((*CLASSES[:index], wrong, *CLASSES[index + 1 :]))
    for names in lists:
        yield Mutation("wrong classes", place, dict(classes=names), words=("metainfo.classes",))


def anywhere(config: Mapping[str, Any], seed: int, number: int) -> list[Mutation]:
    """Any value in any place. Many of these are no mistakes; an error must not be one of ours."""
    rng = random.Random(seed)
    places = [place for key in config for place in _places(config[key], (key,))]
    pool = (None, True, -1, 0, 3, 1e30, NAN, INFINITE, "x", "", [], [None], {}, {"type": "x"}, 1j)
    return [Mutation(FREE, rng.choice(places), rng.choice(pool)) for _ in range(number)]


def _places(node: Any, path: Path) -> Iterator[Path]:
    yield path
    items: Any = node.items() if isinstance(node, dict) else ()
    if isinstance(node, list):
        items = enumerate(node)
    for key, item in items:
        yield from _places(item, (*path, key))


def _text(value: Any) -> str:
    return repr(value)[:20]


def _leaves(value: Any) -> Iterator[str]:
    """What a value is made of, as Python writes it."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield str(key)
            yield from _leaves(item)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            yield from _leaves(item)
    else:
        yield repr(value)
        if isinstance(value, str) and value:
            yield value
