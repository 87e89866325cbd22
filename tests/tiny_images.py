"""Runs of models on images that take seconds: a few random pictures and a config for them."""

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from tbd.datasets import LabelledImages
from tbd.registry import DATASETS

ROOT = Path(__file__).resolve().parents[1] / "configs"


@DATASETS.register_module()
class TinyImages(LabelledImages):
    """Blurred noise, 28×28."""

    def __init__(self, split: str, images: int = 30, val_every: int = 3) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(images, 1, 7, 7, generator=generator)
        pixels = (255 * torch.nn.functional.interpolate(coarse, (28, 28))).to(torch.uint8)
        super().__init__(pixels, torch.arange(images) % 10, tuple("0123456789"), split, val_every)


def tiny_config(name: str, epochs: int, **options: Any) -> Config:
    """The shipped config ``generative/<name>.py`` on :class:`TinyImages`, batches of 5."""
    cfg = Config.fromfile(str(ROOT / "generative" / f"{name}.py"))
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.batch_size = 5
        loader.dataset = dict(type="tbd.TinyImages", split="train" if split == "train" else "val")
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.randomness = dict(seed=3)
    cfg.log_level = "WARNING"
    cfg.merge_from_dict(copy.deepcopy(options))
    return cfg


def write_tiny_config(path: Path, name: str, epochs: int, **options: Any) -> str:
    """Write :func:`tiny_config` to a file and return its path."""
    tiny_config(name, epochs, **options).dump(str(path))
    return str(path)
