"""Loading of configs as the command-line tools do."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict

from tbd.detectors import resolve_model_config
from tbd.detectors.config_file import read_config

DATA_ROOT = "data_root"
_SHOWN = 200


def load_config(
    config: str | Path | Config,
    options: Mapping[str, Any] | None = None,
    *,
    needs_model: bool = False,
) -> Config:
    """Load a config and merge options of the command line over it.

    All modules of MMDetection are registered and its scope becomes the default
    one, so that the config can be built right away.

    Args:
        config: A config file, or ``tbd::…`` or ``mmdet::…`` for one that ships with a package; or
            a config that was loaded or made before, which is not changed.
        options: Dotted keys and their values, as ``--cfg-options`` gives them. One
            key means more than in MMDetection: ``data_root`` moves the whole data
            set, see :func:`move_data_root`. It is applied first; every other option
            is merged as MMEngine does.
        needs_model: Whether it is to hold a model.

    Raises:
        FileNotFoundError: There is no such config file, or one that it inherits is not there.
        ImportError: What it imports is not there.
        TypeError: It is neither a path nor a config.
        ValueError: It is no config, ``data_root`` is given but it has none to replace, or an option
            names an item that a list does not have.
    """
    if not isinstance(config, str | Path | Config):
        raise TypeError(f"config={config!r:.80} must be a config file or a loaded Config.")
    register_all_modules(init_default_scope=True)
    cfg = copy.deepcopy(config) if isinstance(config, Config) else read_config(str(config))
    options = dict(options or {})
    if DATA_ROOT in options:
        move_data_root(cfg, options.pop(DATA_ROOT))
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        # The message ends in a print of what is there, which may be long.
        raise ValueError(
            f"--cfg-options: {given} cannot be merged into {cfg.filename or 'the config'}: "
            f"{str(error.args[0])[:_SHOWN]}. Correct the key."
        ) from error
    model = cfg.get("model")
    if needs_model and not (isinstance(model, Mapping) and "type" in model):
        raise ValueError(
            f"{cfg.filename or 'the config'}: model={model!r} must be the dict of a detector, with "
            "its type. Give a full config, not one of the files that it inherits."
        )
    return cfg


def trained_model(cfg: Config) -> ConfigDict:
    """The model config that a config trains, a copy.

    A ``data_preprocessor`` beside the model counts, as it does for MMEngine's Runner.
    """
    model = copy.deepcopy(cfg.model)
    if cfg.get("data_preprocessor") is not None:
        model.setdefault("data_preprocessor", copy.deepcopy(cfg.data_preprocessor))
    return model


def student_model(cfg: Config) -> ConfigDict:
    """The model config of the plain detector that a config trains; of a distillation the student.

    A ``data_preprocessor`` beside the model counts, see :func:`trained_model`.
    """
    return resolve_model_config(trained_model(cfg))


def config_name(config: str | Path | Config) -> str:
    """Name of a config: that of its file, without package, folder and suffix.

    One that was made in memory is named after its model.
    """
    if isinstance(config, Config):
        return Path(config.filename).stem if config.filename else str(config.model.type)
    return Path(str(config).rpartition("::")[2]).stem


def refuse_to_replace(file: Path, option: str) -> None:
    """Refuse to write over a config that somebody wrote: those that are written inherit nothing.

    Args:
        file: What would be written.
        option: What the user named its folder by, for the message.

    Raises:
        FileExistsError: There is such a config.
    """
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    if re.search(r"^_base_\s*=|read_base\(", text, re.MULTILINE):
        raise FileExistsError(
            f"{option}: {file} is a config that inherits others, and would be replaced by the one "
            "that is written there; name another folder."
        )


def move_data_root(cfg: Config, new_root: str) -> None:
    """Rewrite, in place, every path of the config that lies under its data root.

    A config repeats its top-level ``data_root`` in data sets and in evaluators'
    ``ann_file``; plain merging changes the first and leaves the second behind.

    Args:
        cfg: The config.
        new_root: The folder to use instead of the config's top-level ``data_root``.

    Raises:
        ValueError: The config has no top-level ``data_root``, or no path that lies under it.
    """
    old_root = cfg.get(DATA_ROOT)
    if not isinstance(old_root, str) or not old_root:
        raise ValueError(
            f"{DATA_ROOT}={new_root!r} moves the paths that lie under the config's top-level "
            f"data_root, but this config has data_root={old_root!r}; "
            "set the keys of its data sets and evaluators one by one instead"
        )
    old_root = old_root.rstrip("/") or "/"
    new_root = new_root.rstrip("/") or "/"
    count = 0

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            inside = value == old_root or value.startswith(old_root.rstrip("/") + "/")
            if not inside:
                return value
            nonlocal count
            count += 1
            return new_root.rstrip("/") + value[len(old_root.rstrip("/")) :] or "/"
        if isinstance(value, dict):
            for key, item in value.items():
                value[key] = moved(item)
        elif isinstance(value, list):
            value[:] = [moved(item) for item in value]
        elif isinstance(value, tuple):
            return tuple(moved(item) for item in value)
        return value

    moved(cfg._cfg_dict)
    if count == 1:
        raise ValueError(
            f"{DATA_ROOT}={new_root!r} would move nothing: no path of this config lies under its "
            f"data_root={old_root!r} but that key itself; set the keys of its data sets and "
            "evaluators one by one instead"
        )
