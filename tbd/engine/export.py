"""From a distillation to a plain MMDetection student: config and checkpoint."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector, student_state_dict
from tbd.detectors.finite_weights import check_finite_weights
from tbd.detectors.weights import TERM_PREFIX, load_strictly
from tbd.engine.config import load_config, refuse_to_replace, student_model
from tbd.engine.config_text import config_text
from tbd.engine.plain_model import plain_model
from tbd.files import replacing, write_file


def export_student(
    config: str | Path | Config,
    checkpoint: str,
    out_dir: str,
    filename: str = "student",
    options: Mapping[str, Any] | None = None,
) -> str:
    """Write the student of a distillation as plain MMDetection files.

    Args:
        config: Config file of the distillation, or the loaded config.
        checkpoint: One of its checkpoints, a path or URL.
        out_dir: Folder for ``<filename>.pth`` and ``<filename>.py``.
        filename: Name of both files, without suffix.
        options: ``--cfg-options``, see :func:`tbd.engine.load_config`.

    Returns:
        A report of what was written.

    Raises:
        FileExistsError: A config that somebody wrote has the name of what is written.
        FileNotFoundError: The config or the checkpoint does not exist.
        ValueError: The checkpoint does not fit the config's student.
    """
    refuse_to_replace(Path(out_dir, f"{filename}.py"), f"--out-dir={str(out_dir)!r}")
    cfg = load_config(config, options, needs_model=True)
    model_config = student_model(cfg)
    loaded = load_checkpoint(checkpoint)
    load_strictly(build_detector(model_config), loaded, f"checkpoint={checkpoint!r}")
    return write_student(loaded, plain_config(cfg, model_config), out_dir, filename)


def plain_config(cfg: Config, model_config: ConfigDict) -> Config:
    """Make the full config of the plain student, for MMDetection's own tools.

    Hooks, metrics and imports of ``tbd`` go, and so does what belongs to one run
    (``work_dir``, ``load_from``, ``resume``, ``launcher``). Losses of ``tbd``, which inference
    does not need, become the nearest of MMDetection's, see
    :func:`tbd.engine.plain_model.plain_model`. A data set or another part of ``tbd`` that the
    config cannot run without stays, and with it the import.

    Args:
        cfg: Config of the distillation; it is not changed.
        model_config: The student's plain model config.

    Returns:
        A new config.
    """
    plain = Config(cfg.to_dict(), filename=cfg.filename)
    plain.model = plain_model(model_config)
    hooks = plain.get("default_hooks") or {}
    for name in [name for name, hook in hooks.items() if _is_of_tbd(hook)]:
        hooks.pop(name)
    if plain.get("custom_hooks"):
        plain.custom_hooks = [hook for hook in plain.custom_hooks if not _is_of_tbd(hook)]
    for key in ("val_evaluator", "test_evaluator"):
        if isinstance(plain.get(key), list):
            # An evaluator must keep a metric.
            plain[key] = [m for m in plain[key] if not _is_of_tbd(m)] or plain[key]
    for key in ("work_dir", "launcher", *_unread_parts_of_tbd(plain)):
        plain.pop(key, None)
    # Set for a run without a GPU; MMDetection's own tools have no such runs.
    if "device_ids" in (plain.get("model_wrapper_cfg") or {}):
        plain.pop("model_wrapper_cfg")
    # A config in pure Python style names no scope, as its types are classes; here they are names.
    plain.default_scope = plain.get("default_scope") or "mmdet"
    plain.load_from = None
    plain.resume = False
    imports = plain.get("custom_imports")
    if imports and not parts_of_tbd(plain):
        modules = imports["imports"]
        modules = [modules] if isinstance(modules, str) else modules
        imports["imports"] = [m for m in modules if m.partition(".")[0] != "tbd"]
        if not imports["imports"]:
            plain.pop("custom_imports")
    return plain


def parts_of_tbd(cfg: Config) -> list[str]:
    """List the dotted keys of a config whose type is one of ``tbd``."""
    found = []

    def visit(node: Any, key: str) -> None:
        if _is_of_tbd(node):
            found.append(key)
        if isinstance(node, Mapping):
            for name, item in node.items():
                visit(item, f"{key}.{name}" if key else name)
        elif isinstance(node, list | tuple):
            for index, item in enumerate(node):
                visit(item, f"{key}.{index}")

    visit(cfg._cfg_dict, "")
    return found


def _unread_parts_of_tbd(cfg: Config) -> list[str]:
    """Top-level keys with parts of ``tbd`` that configs refer to but no Runner reads."""
    read = inspect.signature(Runner).parameters
    return [key for key in cfg if key not in read and parts_of_tbd(Config({key: cfg[key]}))]


def automatic_weights(state_dict: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Weights of terms that a distillation set by itself, from its checkpoint, by term."""
    found = {}
    for key, value in state_dict.items():
        start, _, rest = key.removeprefix("module.").partition(TERM_PREFIX)
        name, _, last = rest.rpartition(".")
        if not start and last == "auto_weight":
            found[name] = float(f"{float(value):.6g}")
    return found


def write_student(
    checkpoint: Mapping[str, Any], cfg: Config, out_dir: str | Path, filename: str
) -> str:
    """Write a plain student's checkpoint and config, each in one atomic step.

    The checkpoint holds the weights and what inference needs to know, in types that
    ``torch.load(weights_only=True)`` accepts.

    Args:
        checkpoint: Of the distillation, with ``state_dict`` and ``meta``.
        cfg: The student's config from :func:`plain_config`.
        out_dir: Folder, made if it does not exist.
        filename: Name of both files, without suffix.

    Returns:
        A report of what was written.

    Raises:
        ValueError: A weight is NaN or infinite, or the config is one that no file can hold; an
            older file stays.
    """
    folder = Path(out_dir)
    meta = checkpoint.get("meta") or {}
    kept = {key: _builtin(meta[key]) for key in ("epoch", "iter", "dataset_meta") if key in meta}
    state_dict = checkpoint.get("state_dict", checkpoint)
    weights = student_state_dict(state_dict)
    check_finite_weights(weights, "the student", "Export an earlier checkpoint.")
    automatic = automatic_weights(state_dict)
    if automatic:
        # A record for people: no part of MMEngine reads this key.
        cfg = Config({**cfg.to_dict(), "distillation_weights": automatic}, filename=cfg.filename)
    text = config_text(cfg)
    student = {
        "meta": {**kept, "cfg": text},
        "state_dict": {key: value.detach().cpu() for key, value in weights.items()},
    }
    weights_path = folder / f"{filename}.pth"
    config_path = folder / f"{filename}.py"
    with replacing(weights_path) as path:
        torch.save(student, path)
    write_file(config_path, text)
    rest = parts_of_tbd(cfg)
    needs = f"; it still needs tbd for {', '.join(rest)}" if rest else ""
    return (
        f"Plain student: {weights_path} ({len(weights)} tensors), {config_path}, "
        f"for MMDetection's own tools{needs}"
    )


def _is_of_tbd(node: Any) -> bool:
    kind = node.get("type") if isinstance(node, Mapping) else None
    return isinstance(kind, str) and kind.startswith("tbd.")


def _builtin(value: Any) -> Any:
    """Turn NumPy values inside containers into Python's own."""
    if isinstance(value, Mapping):
        return {key: _builtin(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_builtin(item) for item in value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
