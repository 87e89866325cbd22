"""The shipped configs, each loaded once for all tests."""

from functools import cache
from pathlib import Path

from mmengine.config import Config

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine import load_config

ROOT = Path(__file__).resolve().parents[1] / "configs"
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "_base_" not in path.parts
)
"""Paths below the folder of configs."""


@cache
def shipped(name: str) -> Config:
    """The loaded config, which tests must not change."""
    return load_config(str(ROOT / name))


def distillations() -> list[str]:
    """Those of the configs that distill."""
    return [name for name in CONFIGS if shipped(name).model.type in WRAPPER_TYPES]
