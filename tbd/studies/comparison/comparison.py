"""Training of several configs from several seeds, and the table that compares them."""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import DATASETS
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device

from tbd.compat import load_checkpoint
from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES, build_detector
from tbd.detectors.weights import load_strictly
from tbd.engine.config import load_config
from tbd.engine.evaluation import evaluate
from tbd.evaluation.long_tail import GROUPS
from tbd.files import write_file
from tbd.studies.comparison.report import RunResult, write_report
from tbd.visualization import Boxes, draw_comparison

_RUN_FILE = "run.json"
_TIMED_IMAGES = 50
_WARM_UP = 5


@dataclass(frozen=True)
class Run:
    """One training: a config and a seed.

    Args:
        config: Config file.
        seed: Seed of the random numbers.
        folder: Work directory of the run.
        options: ``--cfg-options`` as on the command line, ``key=value``.
        fingerprint: Stands for all that decides on the result: the config with the options
            merged, the models that it names, the seed, the teacher's own run.
    """

    config: str
    seed: int
    folder: Path
    options: tuple[str, ...]
    fingerprint: str

    @property
    def name(self) -> str:
        """Name of the config."""
        return Path(self.config).stem

    def load(self) -> Config:
        """Load the config with the options merged."""
        return load_config(self.config, parse_options(self.options))

    def final_checkpoint(self) -> str:
        """Find the checkpoint that the training ended with.

        Raises:
            FileNotFoundError: The training wrote none.
        """
        pointer = self.folder / "last_checkpoint"
        if not pointer.is_file():
            raise FileNotFoundError(
                f"{self.folder} holds no checkpoint: set default_hooks.checkpoint in {self.config}."
            )
        # The folder may have been moved since the training wrote an absolute path.
        return str(self.folder / Path(pointer.read_text().strip()).name)


def compare(
    configs: Sequence[str],
    seeds: Sequence[int],
    work_dir: str,
    train_tool: str,
    *,
    teacher: str | None = None,
    teacher_seed: int = 0,
    baseline: str | None = None,
    options: Sequence[str] = (),
    num_pictures: int = 4,
) -> str:
    """Train every config from every seed, one after another, evaluate, and compare.

    What is finished is kept: a run is trained again only when its config, its options or its
    teacher changed, and an interrupted one goes on from its last checkpoint.

    Writes ``comparison.json``, ``.csv``, ``.md`` and ``.png`` to the work directory, and each run
    to ``<work_dir>/<name of the config>/seed_<seed>``.

    Args:
        configs: Config files of distillations or plain detectors, no two of the same name.
        seeds: Seeds to train each of them from.
        work_dir: Folder for everything.
        train_tool: Path of ``tools/train.py``.
        teacher: Config that is trained once and whose checkpoint becomes ``model.teacher_ckpt``
            of every distillation.
        teacher_seed: The seed of the teacher.
        baseline: One of ``configs``, to which the others' AP is compared seed by seed.
        options: ``--cfg-options`` for all runs, ``key=value``.
        num_pictures: Images in ``comparison.png``; with 0 it is not written.

    Returns:
        The table.

    Raises:
        ValueError: The arguments contradict one another, or nothing is to be done.
        RuntimeError: A training failed.
    """
    _check_arguments(configs, seeds, teacher, baseline)
    root = Path(work_dir)
    total = len(configs) * len(seeds) + (teacher is not None)
    metrics: dict[Run, dict[str, float | None]] = {}

    def finish(run: Run) -> None:
        print(f"\n== run {len(metrics) + 1} of {total}: {run.name}, seed {run.seed} ==", flush=True)
        metrics[run] = finish_run(run, train_tool)

    teacher_run = None
    if teacher is not None:
        teacher_run = make_run(teacher, teacher_seed, root, options)
        finish(teacher_run)
    # Seed by seed, so that every config has a result after the first round.
    for seed in seeds:
        for config in configs:
            finish(make_run(config, seed, root, options, teacher_run))

    # Seeds do not change the speed: one run of each config is timed.
    first = [run for run in metrics if run is teacher_run or run.seed == seeds[0]]
    for run, milliseconds in time_inference(first).items():
        metrics[run]["milliseconds"] = milliseconds
    results = [RunResult(run.name, run.seed, values) for run, values in metrics.items()]
    table = write_report(root, results, baseline and Path(baseline).stem, _machine())
    written = ["comparison.md", "comparison.csv", "comparison.json"]
    if num_pictures:
        students = [run for run in first if run is not teacher_run]
        draw_runs(students, root / "comparison.png", num_pictures)
        written.append("comparison.png")
    print(f"\n{table}\n", flush=True)
    for name in written:
        print(f"wrote {root / name}", flush=True)
    return table


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` strings as ``--cfg-options`` does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="*", action=DictAction, default={})
    return dict(parser.parse_args(["--cfg-options", *options]).cfg_options)


def make_run(
    config: str, seed: int, root: Path, options: Sequence[str] = (), teacher: Run | None = None
) -> Run:
    """Plan one run.

    Args:
        config: Config file.
        seed: Its seed.
        root: Folder of the comparison.
        options: ``key=value`` options of all runs.
        teacher: Finished run whose final checkpoint teaches, if the config is a distillation.

    Returns:
        The run, not started.
    """
    all_options = [*options, f"randomness.seed={seed}"]
    cfg = load_config(config, parse_options(all_options))
    content: dict[str, Any] = {"config": cfg.to_dict()}
    content["config"].pop("work_dir", None)
    if cfg.model.type in WRAPPER_TYPES:
        # The config names its models by path; what the files say decides, not where they lie.
        for key in ("student", "teacher"):
            content["config"]["model"].pop(key)
        content["student"] = resolve_model_config(cfg.model).to_dict()
        content["teacher"] = resolve_model_config(
            cfg.model.teacher, cfg.model.get("teacher_options"), key="model.teacher"
        ).to_dict()
        if teacher is not None:
            content["teacher run"] = teacher.fingerprint
            all_options.append(f"model.teacher_ckpt={teacher.final_checkpoint()}")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    folder = root / Path(config).stem / f"seed_{seed}"
    return Run(config, seed, folder, tuple(all_options), digest[:16])


def finish_run(run: Run, train_tool: str) -> dict[str, float | None]:
    """Train, evaluate and measure a run, as far as that has not been done yet.

    Args:
        run: The run.
        train_tool: Path of ``tools/train.py``.

    Returns:
        Its metrics, see :data:`tbd.studies.comparison.report.METRICS`.

    Raises:
        RuntimeError: The training failed.
    """
    state = _read_state(run.folder)
    if run.folder.exists() and state.get("fingerprint") != run.fingerprint:
        aside = _free_name(run.folder)
        run.folder.rename(aside)
        print(
            f"{run.folder} belongs to another state of {run.config}, its options or its teacher: "
            f"moved to {aside}, training again.",
            flush=True,
        )
        state = {}
    if state.get("metrics"):
        print(f"finished before, see {run.folder / _RUN_FILE}", flush=True)
        return dict(state["metrics"])

    state = {"config": run.config, "seed": run.seed, "fingerprint": run.fingerprint}
    _write_state(run.folder, state)
    _train(run, train_tool)
    checkpoint = run.final_checkpoint()
    metrics = _standard_names(
        evaluate(run.config, checkpoint, str(run.folder / "test"), parse_options(run.options)),
        _first_validation(run.folder),
    )
    model = _load_student(run.load(), checkpoint)
    metrics["params"] = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    _write_state(run.folder, {**state, "metrics": metrics})
    return metrics


def time_inference(runs: Sequence[Run]) -> dict[Run, float]:
    """Time the inference of finished runs on single test images, data loading excluded.

    The detectors take turns image by image, so that what else the machine does slows all of them.

    Args:
        runs: Finished runs; each sees its own test data.

    Returns:
        Run → median time per image in milliseconds.
    """
    print(f"\n== timing the inference on {_TIMED_IMAGES} images ==", flush=True)
    models = {run: _load_student(run.load(), run.final_checkpoint()) for run in runs}
    datasets = {run: DATASETS.build(run.load().test_dataloader.dataset) for run in runs}
    times: dict[Run, list[float]] = {run: [] for run in runs}
    for index in range(_WARM_UP + _TIMED_IMAGES):
        for run, model in models.items():
            batch = pseudo_collate([datasets[run][index % len(datasets[run])]])
            start = time.perf_counter()
            _predict(model, batch)
            times[run].append(time.perf_counter() - start)
    return {run: 1e3 * statistics.median(found[_WARM_UP:]) for run, found in times.items()}


def draw_runs(runs: Sequence[Run], path: Path, num_images: int) -> None:
    """Draw ground truth and every run's boxes on the first test images.

    Args:
        runs: Finished runs on the same test data.
        path: PNG file to write.
        num_images: How many images.
    """
    columns: dict[str, list[Boxes]] = {"ground truth": []}
    images: list[np.ndarray] = []
    dataset = DATASETS.build(runs[0].load().test_dataloader.dataset)
    batches = [pseudo_collate([dataset[i]]) for i in range(min(num_images, len(dataset)))]
    for batch in batches:
        sample = batch["data_samples"][0]
        images.append(mmcv.imread(sample.img_path, channel_order="rgb"))
        truth = sample.gt_instances
        columns["ground truth"].append(
            Boxes(get_box_tensor(truth.bboxes).numpy(), truth.labels.numpy())
        )
    for run in runs:
        model = _load_student(run.load(), run.final_checkpoint())
        columns[run.name] = []
        for batch in batches:
            found = _predict(model, batch)[0].pred_instances.cpu()
            columns[run.name].append(
                Boxes(found.bboxes.numpy(), found.labels.numpy(), found.scores.numpy())
            )
    draw_comparison(images, columns, dataset.metainfo["classes"], path)


def _check_arguments(
    configs: Sequence[str], seeds: Sequence[int], teacher: str | None, baseline: str | None
) -> None:
    if not configs or not seeds:
        raise ValueError(f"nothing to compare: configs {list(configs)}, seeds {list(seeds)}.")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds: a seed is named twice in {list(seeds)}.")
    names = [Path(config).stem for config in (*configs, *([teacher] if teacher else []))]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"two configs (the teacher's included) are named {', '.join(sorted(twice))}; runs are "
            "told apart by the names of the config files: rename one."
        )
    if baseline is not None and Path(baseline).stem not in [Path(c).stem for c in configs]:
        raise ValueError(
            f"--baseline {baseline} is not among the compared configs {list(configs)}."
        )


def _train(run: Run, train_tool: str) -> None:
    command = [sys.executable, train_tool, run.config, "--work-dir", str(run.folder), "--resume"]
    command += ["--cfg-options", *run.options]
    status = _execute(command)
    if status:
        raise RuntimeError(
            f"the training of {run.name}, seed {run.seed}, ended with exit status {status}; its "
            f"output is above, its files are in {run.folder}. The same command goes on from the "
            "last checkpoint."
        )


def _execute(command: Sequence[str]) -> int:
    """Run a command whose output shows as it comes; return its exit status."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.run(command, env=environment, check=False).returncode


def _first_validation(folder: Path) -> dict[str, float]:
    """Read the first of several validations from a training's log; empty if there was but one."""
    validations: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if any(key.startswith("coco/") for key in record):
                validations[record["step"]] = record
    return validations[min(validations)] if len(validations) > 1 else {}


def _standard_names(
    values: Mapping[str, float], first: Mapping[str, float]
) -> dict[str, float | None]:
    """Pick the reported metrics; COCO's −1 (no ground truth of that kind) becomes None."""

    def percent(key: str, values: Mapping[str, float] = values) -> float | None:
        value = values.get(key)
        return None if value is None or value < 0 else 100 * value

    lost = values.get("harmony/ap_lost")
    return {
        "ap": percent("coco/bbox_mAP"),
        "ap50": percent("coco/bbox_mAP_50"),
        "ap75": percent("coco/bbox_mAP_75"),
        "mask_ap_first": percent("coco/segm_mAP", first),
        "mask_ap": percent("coco/segm_mAP"),
        "mask_ap75": percent("coco/segm_mAP_75"),
        **{f"ap_{group}": percent(f"coco/bbox_mAP_{group}") for group in GROUPS},
        "harmony": values.get("harmony/mean_score"),
        "correlation": values.get("harmony/pearson"),
        "calibration_error": values.get("harmony/calibration_error"),
        "mean_score": values.get("harmony/mean_confidence"),
        "mean_iou": values.get("harmony/mean_iou"),
        # Negative where the ranking by score is the better one.
        "ap_lost": None if lost is None else 100 * lost,
    }


def _load_student(cfg: Config, checkpoint: str) -> BaseDetector:
    model = build_detector(resolve_model_config(cfg.model))
    load_strictly(model, load_checkpoint(checkpoint), checkpoint)
    return model.to(get_device()).eval()


@torch.no_grad()
def _predict(model: BaseDetector, batch: dict[str, Any]) -> list[Any]:
    samples: list[Any] = model.test_step(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return samples


def _machine() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {
        "device": device,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / _RUN_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return state


def _write_state(folder: Path, state: Mapping[str, Any]) -> None:
    write_file(folder / _RUN_FILE, json.dumps(state, indent=2) + "\n")


def _free_name(folder: Path) -> Path:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.replaced_{number}")).exists():
        number += 1
    return aside
