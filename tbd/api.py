"""The way in from Python: train, test, export and compare by config files or loaded configs.

Each function does what the command of its name does, and returns what it found::

    trained = tbd.train("tbd::shapes/tbd_retinanet_shapes.py")
    metrics = tbd.test("tbd::shapes/tbd_retinanet_shapes.py", trained.checkpoint)
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from mmengine.config import Config

from tbd.arguments import check_value
from tbd.engine import evaluate, export_student
from tbd.engine.config import config_name, load_config
from tbd.engine.config_text import config_text
from tbd.engine.training import TrainingResult, train
from tbd.files import write_file

if TYPE_CHECKING:
    from tbd.engine.deployment import OnnxExport

__all__ = [
    "ComparisonResult",
    "ExportedStudent",
    "TrainingResult",
    "compare",
    "export",
    "test",
    "train",
]


@dataclass(frozen=True)
class ExportedStudent:
    """A plain MMDetection detector.

    Attributes:
        checkpoint: Its weights.
        config: Its config.
        report: What was written, in words.
    """

    checkpoint: Path
    config: Path
    report: str


@dataclass(frozen=True)
class ComparisonResult:
    """What a comparison found.

    Attributes:
        folder: Where ``comparison.json``, tables, pictures and all runs are; with ``test_data`` its
            name is part of the files'.
        table: The table, in Markdown.
        summary: Name of the config → metric → ``mean``, ``sd``, ``count``, for ``gain`` also the
            ends ``low`` and ``high`` of its interval.
        runs: One entry a run: ``name``, ``seed``, ``metrics``, ``config_hash`` and others.
    """

    folder: Path
    table: str
    summary: dict[str, dict[str, dict[str, float | None]]]
    runs: list[dict[str, Any]]


def test(
    config: str | Path | Config,
    checkpoint: str | Path,
    work_dir: str | Path | None = None,  # noqa: PT028 - no function of pytest's
    options: Mapping[str, Any] | None = None,  # noqa: PT028
    **settings: Any,
) -> dict[str, float]:
    """Evaluate a detector, of a distillation its student, on the test data of its config.

    Args:
        config: Config file or loaded config.
        checkpoint: Of the training, or exported.
        work_dir: Folder for logs and metrics.
        options: Dotted keys and values, merged over the config.
        settings: Other arguments of :func:`tbd.engine.evaluate`.

    Returns:
        Metric names and values.
    """
    folder = None if work_dir is None else str(work_dir)
    return evaluate(config, str(checkpoint), folder, options, **settings)


# Not for pytest, which takes functions of this name.
test.__test__ = False  # type: ignore[attr-defined]


@overload
def export(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    filename: str = "student",
    options: Mapping[str, Any] | None = None,
    format: Literal["mmdet"] = "mmdet",
) -> ExportedStudent: ...


@overload
def export(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    filename: str = "student",
    options: Mapping[str, Any] | None = None,
    *,
    format: Literal["onnx"],
    **how: Any,
) -> "OnnxExport": ...


def export(
    config: str | Path | Config,
    checkpoint: str | Path,
    out_dir: str | Path,
    filename: str = "student",
    options: Mapping[str, Any] | None = None,
    format: str = "mmdet",
    **how: Any,
) -> "ExportedStudent | OnnxExport":
    """Write a detector, of a distillation its student, for MMDetection or as an ONNX file.

    Args:
        config: Config file or loaded config.
        checkpoint: One of its checkpoints.
        out_dir: Folder for what is written.
        filename: Its name without suffix.
        options: Dotted keys and values, merged over the config.
        format: ``"mmdet"``, a plain checkpoint and config, or ``"onnx"``, one verified file.
        how: Of an ONNX file: arguments of :class:`tbd.engine.deployment.OnnxOptions`, such as
            ``end_to_end=True``.

    Returns:
        Where they are; of an ONNX file also how it compares with MMDetection's detector.

    Raises:
        ValueError: There is no such format, or it has no such options.
    """
    if format == "onnx":
        # ONNX is an extra, which a training process need not wait for.
        from tbd.engine.deployment import OnnxOptions, export_onnx

        return export_onnx(
            config, str(checkpoint), str(out_dir), filename, options, OnnxOptions(**how)
        )
    if format != "mmdet":
        raise ValueError(f"format={format!r} must be 'mmdet' or 'onnx'.")
    if how:
        raise ValueError(f"{', '.join(how)}: options of ONNX files, which need format='onnx'.")
    report = export_student(config, str(checkpoint), str(out_dir), filename, options)
    folder = Path(out_dir)
    return ExportedStudent(folder / f"{filename}.pth", folder / f"{filename}.py", report)


def compare(
    configs: Sequence[str | Path | Config] | Mapping[str, str | Path | Config] = (),
    seeds: Sequence[int] = (0,),
    work_dir: str | Path = "work_dirs/comparison",
    *,
    terms: Sequence[str] | None = None,
    **settings: Any,
) -> ComparisonResult:
    """Train configs, or one student by several methods, from several seeds, and compare them.

    Args:
        configs: Config files or loaded configs; with names of your own if they are a dict. Loaded
            ones are written to ``<work_dir>/configs``, since runs are processes of their own.
        seeds: Seeds to train each of them from.
        work_dir: Folder for everything. The same call goes on in it.
        terms: Methods in place of configs, see :func:`tbd.studies.comparison.compare_terms`.
        settings: Other arguments of :func:`tbd.studies.comparison.compare`, such as ``teacher`` and
            ``baseline``; of ``compare_terms``, ``pair``.

    Returns:
        The table and what it was made from.

    Raises:
        TypeError: Configs, terms or seeds are no lists of them.
        ValueError: Both configs and terms are given, or see there.
    """
    for name, value in (("configs", configs), ("terms", terms)):
        if isinstance(value, str | Path | Config):
            shown = "one config" if isinstance(value, Config) else repr(value)
            raise TypeError(f"{name} must be a list, and is {shown}; put it into brackets.")
    check_value(list(seeds) if isinstance(seeds, Iterable) else seeds, list[int], "seeds")
    # Studies are many modules, which a training process need not wait for.
    from tbd.studies import comparison

    folder = Path(work_dir)
    if terms is not None:
        if configs:
            raise ValueError("compare either configs or terms on one pair, not both.")
        table = comparison.compare_terms(terms, seeds, str(folder), **settings)
    else:
        paths = _files(configs, folder)
        for key in ("teacher", "baseline"):
            if isinstance(settings.get(key), Config):
                settings[key] = _write(settings[key], config_name(settings[key]), folder)
            elif isinstance(settings.get(key), Path):
                settings[key] = str(settings[key])
        settings["baseline"] = paths.get(settings.get("baseline"), settings.get("baseline"))
        table = comparison.compare(list(paths.values()), seeds, str(folder), **settings)
    content = json.loads((folder / f"{_report_name(settings.get('test_data'))}.json").read_text())
    return ComparisonResult(folder, table, content["summary"], content["runs"])


def _report_name(test_data: str | None) -> str:
    """Name of the files of a comparison, on the test data of its configs or on others."""
    from tbd.studies.comparison.other_data import find_test_data

    return "comparison" if test_data is None else f"comparison_{find_test_data(test_data).name}"


def _files(
    configs: Sequence[str | Path | Config] | Mapping[str, str | Path | Config], folder: Path
) -> dict[Any, str]:
    """Name, or else path, → config file."""
    if isinstance(configs, Mapping):
        return {name: _write(load_config(cfg), name, folder) for name, cfg in configs.items()}
    found = {}
    for cfg in configs:
        path = _write(cfg, config_name(cfg), folder) if isinstance(cfg, Config) else str(cfg)
        if path in found:
            raise ValueError(f"two configs are named {config_name(path)}: give a dict of names.")
        found[path] = path
    return found


def _write(cfg: Config, name: str, folder: Path) -> str:
    path = folder / "configs" / f"{name}.py"
    write_file(path, config_text(cfg))
    return str(path)
