"""What has to be said over a training recipe of MMDetection so that it fits other data."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mmengine.config import Config

from tbd.engine.config import load_config

_PLAIN_STEPS = {"LoadImageFromFile", "LoadAnnotations", "Resize", "RandomFlip", "PackDetInputs"}
_STEP = 32
_PACKAGED = "::"
_MMDET = f"mmdet{_PACKAGED}"
_BASE = re.compile(r"""["']([^"'\n]+\.py)["']""")


@dataclass(frozen=True)
class Recipe:
    """A config of MMDetection.

    Args:
        name: As users name it, such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``.
        cfg: The loaded config.
    """

    name: str
    cfg: Config

    @classmethod
    def of(cls, name: str, option: str) -> "Recipe":
        """Load a recipe.

        Args:
            name: The config.
            option: What the user named it by, for messages.

        Raises:
            ValueError: It is no full recipe of a plain detector on COCO's format.
        """
        cfg = load_config(name)
        lacking = [key for key in ("model", "train_dataloader", "train_cfg") if key not in cfg]
        if lacking or "data_preprocessor" not in {**cfg, **cfg.get("model", {})}:
            raise ValueError(
                f"{option} {name} is no full config of a detector: it has no "
                f"{', '.join(lacking) or 'data_preprocessor'}. Give one such as "
                "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py."
            )
        taken = [key for key in ("data", "classes") if key in cfg]
        if taken:
            raise ValueError(
                f"{option} {name} has a key {taken[0]!r} of its own, which the config of the data "
                "needs; give it another name in a copy of that recipe."
            )
        recipe = cls(name, cfg)
        for part in ("train", "val"):
            kind = recipe.leaf(part)[1].get("type")
            if kind != "CocoDataset":
                raise ValueError(
                    f"{option} {name} reads a {kind}; give a recipe for COCO's format, in whose "
                    "place your data can step."
                )
        return recipe

    def leaf(self, part: str) -> tuple[tuple[str, ...], Mapping[str, Any]]:
        """Keys that lead from a loader to its innermost data set, and that data set."""
        keys: tuple[str, ...] = ("dataset",)
        node = self.cfg[f"{part}_dataloader"]["dataset"]
        while isinstance(node.get("dataset"), Mapping):
            keys, node = (*keys, "dataset"), node["dataset"]
        return keys, node

    def class_counts(self, count: int) -> dict[str, Any]:
        """The part of ``model`` that says how many classes there are, for another number."""
        numbers = _class_counts(self.cfg.model)
        if not numbers:
            return {}
        # Of the heads' numbers the largest is that of the data; a class-agnostic one has 1.
        found = _replaced(self.cfg.model, max(numbers), count)
        return found if isinstance(found, dict) else {}

    def base(self, folder: Path) -> str:
        """As a config in a folder inherits it; the name of a file is relative to that folder."""
        if _PACKAGED in self.name:
            return self.name
        return Path(os.path.relpath(self.name, folder)).as_posix()

    def masks(self) -> bool:
        """Whether the recipe learns from masks."""
        return "with_mask=True" in repr_of(self.leaf("train")[1])

    def batch(self) -> int:
        """Images of a step on one device."""
        return int(self.cfg.train_dataloader.batch_size)

    def learning_rate(self) -> float | None:
        """The recipe's rate, scaled from its own batch to that of one device.

        Recipes say their batch in their name, ``8xb2``, more reliably than in ``auto_scale_lr``.
        """
        optimizer = self.cfg.optim_wrapper.get("optimizer", {})
        return float(optimizer["lr"]) * self.rate_factor() if "lr" in optimizer else None

    def rate_factor(self) -> float:
        """What the recipe's rates are scaled by for the batch of one device."""
        return self.batch() / self.total_batch()

    def total_batch(self) -> int:
        """Images of a step that the recipe's learning rate is for."""
        name = self.name
        if _PACKAGED not in name and self.cfg.filename:
            file = Path(self.cfg.filename)
            if "auto_scale_lr" not in file.read_text(encoding="utf-8"):
                # The recipe that it inherits its rate from.
                name = _first_recipe(file) or name
        named = re.search(r"(\d+)xb(\d+)", Path(name).name)
        if named:
            return int(named.group(1)) * int(named.group(2))
        return int(self.cfg.get("auto_scale_lr", {}).get("base_batch_size", 16))

    def epochs(self) -> int | None:
        """Length of the training; None where it is counted in iterations."""
        length = self.cfg.train_cfg.get("max_epochs")
        return None if length is None else int(length)

    def repeats(self) -> int:
        """How often an epoch shows every image."""
        times, node = 1, self.cfg.train_dataloader.dataset
        while isinstance(node, Mapping):
            times *= int(node.get("times", 1))
            node = node.get("dataset")
        return times

    def image_scale(self, sizes: list[tuple[int, int]]) -> tuple[int, int] | None:
        """A size to see images at: their own, if the recipe's is larger.

        Args:
            sizes: Width and height of the images.

        Returns:
            Longer and shorter side; None where the recipe's augmentation has sizes of its own, or
            its size fits.
        """
        steps = self.leaf("train")[1].get("pipeline") or ()
        if {step["type"].rpartition(".")[2] for step in steps} != _PLAIN_STEPS:
            return None
        (resize,) = (step for step in steps if step["type"].endswith("Resize"))
        own = resize.get("scale")
        if not isinstance(own, list | tuple) or not resize.get("keep_ratio"):
            return None
        sides = [sorted(size, reverse=True) for size in sizes]
        scale = tuple(
            max(_STEP, round(median(side[i] for side in sides) / _STEP) * _STEP) for i in (0, 1)
        )
        if scale[0] >= max(own) and scale[1] >= min(own):
            return None
        return min(scale[0], max(own)), min(scale[1], min(own))

    def pipeline(self, part: str, scale: tuple[int, int]) -> list[dict[str, Any]]:
        """The pipeline of a data set with another size of images."""
        return [
            {**_plain(step), "scale": scale} if step["type"].endswith("Resize") else _plain(step)
            for step in self.leaf(part)[1]["pipeline"]
        ]


def pair_recipes(pair: str) -> tuple[str, str]:
    """The recipes that a shipped distillation is made of.

    Args:
        pair: Config of a distillation of two of MMDetection's detectors.

    Returns:
        That of the student, that of the teacher.

    Raises:
        ValueError: It names none of MMDetection's recipes.
    """
    cfg = load_config(pair, needs_model=True)
    teacher = cfg.model.get("teacher")
    student = _first_recipe(Path(str(cfg.filename)))
    if student is None or not str(teacher).startswith(_MMDET):
        raise ValueError(
            f"--pair {pair} is no distillation of two recipes of MMDetection; name them by "
            "--student and --teacher."
        )
    return student, str(teacher)


def _first_recipe(file: Path) -> str | None:
    """The recipe that a config inherits, itself or through those that it inherits."""
    for base in _BASE.findall(file.read_text(encoding="utf-8").partition("model =")[0]):
        if base.startswith(_MMDET):
            return str(base)
        if (file.parent / base).is_file() and (found := _first_recipe(file.parent / base)):
            return found
    return None


def repr_of(node: Any) -> str:
    """A config's part as ``key=value`` text, to be searched."""
    if isinstance(node, Mapping):
        return ", ".join(f"{key}={repr_of(value)}" for key, value in node.items())
    if isinstance(node, list | tuple):
        return ", ".join(map(repr_of, node))
    return repr(node)


def _plain(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key != "backend_args"}


def _class_counts(node: Any) -> list[int]:
    if isinstance(node, Mapping):
        own = [node["num_classes"]] if isinstance(node.get("num_classes"), int) else []
        return own + [count for item in node.values() for count in _class_counts(item)]
    if isinstance(node, list | tuple):
        return [count for item in node for count in _class_counts(item)]
    return []


def _replaced(node: Any, old: int, new: int) -> Any:
    """Only what differs with another number of classes; lists, which do not merge, as a whole."""
    if isinstance(node, Mapping):
        found = {key: _replaced(value, old, new) for key, value in node.items()}
        found = {key: value for key, value in found.items() if value is not None}
        if node.get("num_classes") == old:
            found["num_classes"] = new
        return found or None
    if isinstance(node, list | tuple) and any(old in _class_counts(item) for item in node):
        return [_merged(item, _replaced(item, old, new)) for item in node]
    return None


def _merged(node: Any, changes: Any) -> Any:
    if isinstance(node, Mapping) and isinstance(changes, Mapping):
        return {**node, **{key: _merged(node.get(key), item) for key, item in changes.items()}}
    return node if changes is None else changes
