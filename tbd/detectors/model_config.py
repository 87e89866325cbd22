"""From what a config names as student or teacher to the config of a plain model."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from tbd.detectors.config_file import read_config

WRAPPER_TYPES = ("tbd.TeacherStudentDetector", "TeacherStudentDetector")


def resolve_model_config(
    model: str | Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
    key: str = "model",
) -> ConfigDict:
    """Find the model config that a config path or a dict stands for.

    Args:
        model: A config file, a config inside a package
            (``"mmdet::retinanet/retinanet_r50_fpn_2x_coco.py"``), or a model
            dict. A distillation config stands for its student.
        options: Merged over the model as an inheriting config would be;
            ``_delete_=True`` works.
        key: Config key that ``model`` was read from, for error messages.

    Returns:
        A new, plain model config.

    Raises:
        FileNotFoundError: if the file does not exist.
        TypeError: if ``model`` is neither a path nor a dict.
        ValueError: if the config holds no model.
    """
    if isinstance(model, str):
        found = _read_model(model, key)
    elif isinstance(model, Mapping):
        found = ConfigDict(copy.deepcopy(dict(model)))
    else:
        raise TypeError(f"{key}={model!r} must be a config path or a model dict.")
    if found.get("type") in WRAPPER_TYPES:
        preprocessor = found.get("data_preprocessor")
        found = resolve_model_config(
            found["student"], found.get("student_options"), key=f"{key}.student"
        )
        if preprocessor is not None:
            found.setdefault("data_preprocessor", preprocessor)
    merged = Config(dict(model=found))
    if options:
        merged.merge_from_dict(dict(model=copy.deepcopy(dict(options))))
    return merged.model


def build_detector(config: ConfigDict, key: str = "model") -> BaseDetector:
    """Build a detector from its model config, in MMDetection's scope unless another is set.

    Args:
        config: Model config.
        key: Config key that it was read from, for error messages.

    Raises:
        TypeError: A part has no such argument, or one of another kind.
        ValueError: A part does not fit the others, is not registered, or is missing.
    """
    scope = DefaultScope.get_current_instance()
    with DefaultScope.overwrite_default_scope(scope.scope_name if scope else "mmdet"):
        # A copy, because some detectors (DINO) write into the config that they are built from, and
        # what they write is refused when the config is built again.
        try:
            return MMDET_MODELS.build(copy.deepcopy(config))
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            what = str(error) or type(error).__name__
            raise kind(
                f"{key}: the detector {config.get('type')} cannot be built: {what}. Mend {key}, or "
                "what is merged over it."
            ) from error


def _read_model(path: str, key: str) -> ConfigDict:
    if "::" not in path and not Path(path).is_file():
        raise FileNotFoundError(
            f"{key}={path!r}: no such config (looked at {Path(path).absolute()}). Name a config of "
            "an installed package as 'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py', or a file; "
            "inside a config, '{{ fileDirname }}/teacher.py' is the file beside it."
        )
    try:
        config = read_config(path)
    except (FileNotFoundError, ImportError, ValueError) as error:
        kinds = (FileNotFoundError, ImportError)
        kind = next((kind for kind in kinds if isinstance(error, kind)), ValueError)
        raise kind(f"{key}={path!r}: {error}") from error
    if "model" not in config:
        raise ValueError(f"{key}={path!r}: this config has no 'model'.")
    model = config.model
    if "data_preprocessor" in config:
        model.setdefault("data_preprocessor", config.data_preprocessor)
    return model
