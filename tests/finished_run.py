"""A finished run of a comparison, without its training: random weights and what is kept of it."""

import json
from pathlib import Path
from typing import Any

import torch
from tiny_run import config_dict, write_config

from tbd.detectors import build_detector
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.registry import MODELS


def write_finished_run(root: Path, name: str, seed: int, model: dict[str, Any], data: Path) -> Path:
    """Write the folder of a run as it is after its training; return it."""
    folder = root / name / f"seed_{seed}"
    folder.mkdir(parents=True)
    write_config(folder / f"{name}.py", config_dict(data, model))
    torch.manual_seed(seed + 10 * len(name))
    built = MODELS.build(model) if model["type"] in WRAPPER_TYPES else build_detector(model)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    torch.save({"state_dict": built.state_dict()}, folder / "epoch_1.pth")
    (folder / "last_checkpoint").write_text("/moved/since/epoch_1.pth")
    state = dict(config=f"configs/{name}.py", seed=seed, fingerprint=f"{name}{seed}")
    (folder / "run.json").write_text(json.dumps(dict(state, metrics=dict(ap=1.0))))
    return folder
