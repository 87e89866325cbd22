"""A name for what a config says, the same wherever its data and checkpoints lie."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import config_name
from tbd.studies.comparison.runs import ORIGIN, read_state


def config_hash(cfg: Config) -> str:
    """Hash what decides on the result of a run, apart from its seed and the machine's paths.

    Args:
        cfg: Config of a run, options merged.

    Returns:
        The first 16 hexadecimal digits of a SHA-256.
    """
    content = cfg.to_dict()
    if content.get("resume"):
        # Where an interrupted run went on, which a training writes into the config that it keeps.
        content["load_from"] = None
    for key in ("work_dir", "launcher", "resume", ORIGIN):
        content.pop(key, None)
    content.get("randomness", {}).pop("seed", None)
    if cfg.model.type in WRAPPER_TYPES:
        # The config names its models by path; what the files say decides, not where they lie.
        model = content["model"]
        model["student"] = resolve_model_config(cfg.model).to_dict()
        if cfg.model.teacher is not None:
            model["teacher"] = resolve_model_config(
                cfg.model.teacher, cfg.model.get("teacher_options"), key="model.teacher"
            ).to_dict()
        run = teacher_run(cfg)
        if run:
            model["teacher_ckpt"] = [config_name(run["config"]), run["seed"]]
    portable = _without_folders(content, str(cfg.get("data_root", "")))
    text = json.dumps(portable, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_folders(node: Any, data_root: str) -> Any:
    """Cut off what lies before the data set, and of other files and checkpoints the folder."""
    if isinstance(node, Mapping):
        return {str(key): _without_folders(value, data_root) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_without_folders(item, data_root) for item in node]
    if isinstance(node, str) and data_root and node.startswith(data_root):
        return "data_root/" + node.removeprefix(data_root)
    if isinstance(node, str) and (node.startswith("/") or node.endswith(".pth")):
        return Path(node).name
    return node


def teacher_run(cfg: Config) -> dict[str, Any]:
    """What is known of the run that the teacher's checkpoint comes from; empty if nothing."""
    checkpoint = cfg.model.get("teacher_ckpt")
    return read_state(Path(checkpoint).parent) if checkpoint else {}
