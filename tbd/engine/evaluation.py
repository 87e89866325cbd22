"""One evaluation run, as ``tools/test.py`` starts it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.evaluation import DumpDetResults
from mmengine.config import Config

from tbd.compat import load_checkpoint
from tbd.detectors.weights import load_strictly
from tbd.engine.config import load_config, student_model
from tbd.engine.data_check import check_data
from tbd.engine.hooks.class_list import ClassListCheckHook
from tbd.engine.launch import launched
from tbd.engine.runner import build_runner, resolve_work_dir
from tbd.engine.wrappers import unwrap


def evaluate(
    config: str | Path | Config,
    checkpoint: str,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    out: str | None = None,
    show: bool = False,
    show_dir: str | None = None,
    wait_time: float = 2.0,
    launcher: str = "none",
) -> dict[str, float]:
    """Evaluate a detector on the test data of a config.

    Of a distillation only the student is built; the teacher is not needed.

    Args:
        config: The config file, or a loaded config, of a distillation or of a plain detector.
        checkpoint: Path or URL of a checkpoint, of the training or exported.
        work_dir: Folder for logs and metrics, as for :func:`tbd.engine.train`.
        options: ``--cfg-options``, see :func:`tbd.engine.load_config`.
        out: ``.pkl`` file to write the predictions to.
        show: Show each image with its ground truth and predictions in a window.
        show_dir: Folder, inside the run's log folder, for these pictures.
        wait_time: Time that each window stays open, in seconds.
        launcher: See :func:`tbd.engine.launched`.

    Returns:
        Metric names and values.

    Raises:
        FileNotFoundError: The config, the checkpoint or an annotation file is missing.
        ValueError: The checkpoint does not fit the model, or an option does not fit the config.
    """
    if out is not None and not out.endswith((".pkl", ".pickle")):
        raise ValueError(f"--out: {out!r} must end in .pkl or .pickle")
    cfg = load_config(config, options, needs_model=True)
    cfg.work_dir = resolve_work_dir(cfg, config, work_dir)
    cfg.model = student_model(cfg)
    cfg.load_from = None
    cfg.resume = False
    # How the training distributes the model, say network by network, is of no use here.
    cfg.pop("model_wrapper_cfg", None)
    if cfg.filename:
        # Runner writes its config to the work directory, where that of the training may be.
        name = f"test_{Path(cfg.filename).name}"
        # With a text, for want of which MMEngine would read the file.
        cfg = Config(cfg.to_dict(), cfg.text or "\n", str(Path(cfg.filename).with_name(name)))
    if show or show_dir:
        _enable_visualization(cfg, show, show_dir, wait_time)
    check_data(cfg, ("test",))
    loaded = load_checkpoint(checkpoint)
    with launched(cfg, launcher):
        return _test(cfg, loaded, checkpoint, out)


def _test(
    cfg: Config, loaded: Mapping[str, Any], checkpoint: str, out: str | None
) -> dict[str, float]:
    runner = build_runner(cfg)
    load_strictly(unwrap(runner.model), loaded, f"checkpoint={checkpoint!r}")
    runner.register_hook(ClassListCheckHook())
    if out is not None:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=out))
    return runner.test()


def _enable_visualization(cfg: Config, show: bool, show_dir: str | None, wait_time: float) -> None:
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if not hook:
        raise ValueError(
            "--show and --show-dir need default_hooks.visualization="
            "dict(type='DetVisualizationHook') in the config"
        )
    hook.update(draw=True, show=show, wait_time=wait_time, test_out_dir=show_dir)
