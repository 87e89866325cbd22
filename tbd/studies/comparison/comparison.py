"""Training of several configs from several seeds, and the table that compares them."""

import io
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from tbd.engine.config import config_name, load_config
from tbd.engine.config_check import check_config
from tbd.engine.config_options import parse_options
from tbd.engine.deployment.extra import import_extra
from tbd.files import write_file
from tbd.studies.comparison.class_aps import format_class_table
from tbd.studies.comparison.execution import LOG_FILE, Metrics, finish_runs
from tbd.studies.comparison.gains import draw_gains
from tbd.studies.comparison.gradient_table import (
    distillations_without_shares,
    format_gradient_shares,
)
from tbd.studies.comparison.inference_cost import count_operations, time_onnx
from tbd.studies.comparison.losses import draw_losses
from tbd.studies.comparison.measurement import time_inference
from tbd.studies.comparison.methods import PLAIN
from tbd.studies.comparison.other_data import (
    TestData,
    check_finished,
    find_test_data,
    measure_elsewhere,
)
from tbd.studies.comparison.pair import DEFAULT_PAIR, Pair
from tbd.studies.comparison.pictures import draw_runs
from tbd.studies.comparison.processor import processor
from tbd.studies.comparison.progress import Progress
from tbd.studies.comparison.report import RunResult, format_table, summarize, write_report
from tbd.studies.comparison.runs import Run, make_run, read_state
from tbd.studies.comparison.teacher_check import check_teacher
from tbd.studies.comparison.training_cost import step_costs
from tbd.studies.comparison.versions import versions


def compare(
    configs: Sequence[str],
    seeds: Sequence[int],
    work_dir: str,
    *,
    teacher: str | None = None,
    teacher_seed: int = 0,
    baseline: str | None = None,
    options: Sequence[str] = (),
    num_pictures: int = 4,
    jobs: int = 1,
    step_cost: bool = True,
    gradient_shares: bool = False,
    onnx: bool = False,
    test_data: str | None = None,
    verbose: bool = False,
) -> str:
    """Train every config from every seed, evaluate, and compare.

    What is finished is kept: a run is trained again only when its config, its options or its
    teacher changed, and an interrupted one goes on from its last checkpoint.

    Writes ``comparison.json``, ``.csv``, ``.md`` and ``.png`` to the work directory, beside them
    ``gains.png`` if there is a baseline, and each run to
    ``<work_dir>/<name of the config>/seed_<seed>``, with all that it prints in ``output.log``.

    Args:
        configs: Config files of distillations or plain detectors, no two of the same name.
        seeds: Seeds to train each of them from.
        work_dir: Folder for everything.
        teacher: Config that is trained once and whose checkpoint becomes ``model.teacher_ckpt``
            of every distillation.
        teacher_seed: The seed of the teacher.
        baseline: One of ``configs``, to which the others' AP is compared seed by seed.
        options: ``--cfg-options`` for all runs, ``key=value``.
        num_pictures: Images in ``comparison.png``; with 0 it is not written.
        jobs: How many runs are trained at a time, each in a process of its own.
        step_cost: Time training steps of each distillation beside those of its student.
        gradient_shares: Measure in every training, at its start, middle and end, how the norm of
            the gradient on the student's neck is shared between its own loss and the terms, and
            write ``gradient_shares.md``.
        onnx: Time one run of each config in onnxruntime too; needs the extra ``tbd[onnx]``.
        test_data: Annotation file, or folder, see
            :func:`~tbd.studies.comparison.other_data.find_test_data`. Nothing is trained, finished
            runs are evaluated on it, and the files are named ``comparison_<name of the data>``.
        verbose: Print the whole output of the runs in place of their progress.

    Returns:
        The table.

    Raises:
        FileNotFoundError: ``test_data`` is not there.
        ValueError: The arguments contradict one another, nothing is to be done, or ``test_data``
            has faults or is to test a run that is not finished.
        RuntimeError: A training failed.
    """
    _check_arguments(configs, seeds, teacher, baseline)
    if test_data is not None and (onnx or gradient_shares):
        raise ValueError(
            f"{'--onnx' if onnx else '--gradient-shares'} beside --test-data: nothing is trained "
            "or timed on other data; leave it out."
        )
    check_teacher(teacher, teacher_seed, configs, options)
    if onnx:
        import_extra("onnxruntime")
    root = Path(work_dir)
    progress = Progress(quiet=verbose)
    name = baseline and config_name(baseline)
    data = None if test_data is None else find_test_data(test_data)
    log = root / LOG_FILE

    def plan(teacher_run: Run | None) -> list[Run]:
        # Seed by seed, so that every config has a result after the first round.
        return [
            make_run(config, seed, root, options, teacher_run)
            for seed in seeds
            for config in configs
        ]

    teacher_run = None if teacher is None else make_run(teacher, teacher_seed, root, options)
    teachers = [teacher_run] if teacher_run else []
    if data is not None:
        # The plan names the teacher's checkpoint.
        check_finished(teachers)
        runs = [*teachers, *plan(teacher_run)]
        results = _evaluate_elsewhere(runs, data, log, progress, verbose)
        return _report(root, results, name, teacher_run, progress, f"_{data.name}")

    check_configs([*configs, *([teacher] if teacher else [])], options)
    total = len(configs) * len(seeds) + len(teachers)
    progress.say(
        f"{total} {'run' if total == 1 else 'runs'} in {root}, {jobs} at a time; what each prints "
        f"is in its <config>/seed_<seed>/{LOG_FILE}"
    )
    metrics = finish_runs(teachers, progress=progress, verbose=verbose, total=total)
    metrics |= finish_runs(
        plan(teacher_run),
        jobs,
        progress=progress,
        verbose=verbose,
        first=1 + len(teachers),
        total=total,
        gradient_shares=gradient_shares,
    )
    # What took long is on the disk, whatever becomes of that which follows.
    _write(root, [_result(run, values) for run, values in metrics.items()], name, teacher_run)
    # Seeds do not change the speed: one run of each config is timed.
    first = [run for run in metrics if run is teacher_run or run.seed == seeds[0]]
    loadable = _with_checkpoint(first, progress)
    _time(loadable, metrics, step_cost, onnx, log, progress, verbose)
    results = [_result(run, values) for run, values in metrics.items()]
    table = _report(root, results, name, teacher_run, progress)
    if gradient_shares:
        _report_shares(root, list(metrics), progress)
    if draw_losses(first, root / "losses.png"):
        progress.say(f"wrote losses.png to {root}")
    drawn = [run for run in loadable if run is not teacher_run]
    if num_pictures and drawn:
        shown_teacher = teacher_run if teacher_run in loadable else None
        with _printing_to(log, verbose):
            draw_runs(drawn, root / "comparison.png", num_pictures, shown_teacher)
        progress.say(f"wrote comparison.png to {root}")
    return table


def compare_terms(
    terms: Sequence[str],
    seeds: Sequence[int],
    work_dir: str,
    *,
    pair: str = DEFAULT_PAIR,
    teacher: str | None = None,
    **settings: Any,
) -> str:
    """Train one student by several methods from every seed, evaluate, and compare.

    Each method has the weights of its paper for that kind of detector, unless a config beside the
    pair's trains the same pair by it: then that one is taken. Configs that do not exist are written
    to ``<work_dir>/configs``.

    Args:
        terms: Names of methods, several joined by ``+``; ``plain`` for the student alone, which
            the others are compared to; ``all`` for everything that the pair can carry.
        seeds: See :func:`compare`.
        work_dir: Folder for everything. A later call with more terms or seeds goes on in it.
        pair: Config of a distillation, which says all but the terms.
        teacher: Config that the teacher is trained by. Default: the one that the pair names,
            where its checkpoint is not there.
        settings: Other arguments of :func:`compare`. A ``baseline`` may be named by its methods.

    Returns:
        The table.

    Raises:
        ImportError: A term needs a package that is not installed.
        ValueError: A method is unknown, or the pair cannot carry it, or the baseline is not among
            them; says what would do.
        RuntimeError: A training failed.
    """
    root = Path(work_dir)
    student = Pair(pair)
    candidates, left_out = student.candidates(terms, root)
    for candidate in candidates:
        print(f"{candidate.terms}: {candidate.source or 'the student alone'}", flush=True)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", flush=True)
    rows = {candidate.terms: candidate.config for candidate in candidates}
    baseline = settings.get("baseline", PLAIN if PLAIN in rows else None)
    settings["baseline"] = baseline and _row(rows, baseline)
    return compare(
        [candidate.config for candidate in candidates],
        seeds,
        work_dir,
        teacher=teacher or student.teacher(root),
        **settings,
    )


def _row(rows: Mapping[str, str], baseline: str) -> str:
    """Find the config of the row that a baseline names, by its methods or its config."""
    for terms, config in rows.items():
        if baseline == terms or config_name(baseline) == config_name(config):
            return config
    raise ValueError(
        f"--baseline {baseline!r} is not among the compared methods; name one of {', '.join(rows)}."
    )


def finish_run(run: Run) -> Metrics:
    """Train and measure one run, as far as that has not been done yet.

    Args:
        run: The run.

    Returns:
        Its metrics, see :data:`tbd.studies.comparison.report.METRICS`.

    Raises:
        RuntimeError: The training or the evaluation failed.
    """
    return finish_runs([run])[run]


def _evaluate_elsewhere(
    runs: Sequence[Run], data: TestData, log: Path, progress: Progress, verbose: bool
) -> list[RunResult]:
    """Evaluate finished runs on other test data."""
    progress.say(
        f"evaluating {len(runs)} finished {'run' if len(runs) == 1 else 'runs'} in {log.parent} on "
        f"{data.annotations}"
    )
    check_finished(runs)
    with _printing_to(log, verbose):
        return [_result(run, measure_elsewhere(run, data)) for run in runs]


def _with_checkpoint(runs: Sequence[Run], progress: Progress) -> list[Run]:
    """The runs whose checkpoint can be loaded; says of the others what they go without."""
    loadable = []
    for run in runs:
        fault = run.checkpoint_fault()
        if fault is None:
            loadable.append(run)
        else:
            progress.say(
                f"{run.name}, seed {run.seed}: neither its speed nor its boxes are shown, because "
                f"its checkpoint cannot be read: {fault}"
            )
    return loadable


def _time(
    runs: Sequence[Run],
    metrics: Mapping[Run, Metrics],
    step_cost: bool,
    onnx: bool,
    log: Path,
    progress: Progress,
    verbose: bool,
) -> None:
    """Add what is measured anew each time, because it depends on the machine of the moment."""
    progress.say("measuring the speed of one run of each config")
    with _printing_to(log, verbose):
        for run, milliseconds in time_inference(runs).items():
            metrics[run]["milliseconds"] = milliseconds
        for run, operations in count_operations(runs).items():
            metrics[run]["gflops"] = operations
        for run, milliseconds in (time_onnx(runs) if onnx else {}).items():
            metrics[run]["onnx_milliseconds"] = milliseconds
    if not step_cost:
        return
    progress.say("measuring what a training step of each distillation costs")
    with _printing_to(log, verbose):
        for run, cost in step_costs(runs).items():
            metrics[run]["step_cost"] = cost


def _report(
    root: Path,
    results: Sequence[RunResult],
    baseline: str | None,
    teacher: Run | None,
    progress: Progress,
    ending: str = "",
) -> str:
    """Write table and figure, and print the table as far as it fits."""
    table = _write(root, results, baseline, teacher, ending)
    stem = f"comparison{ending}"
    teacher_name = teacher.name if teacher else None
    written = [f"{stem}.{suffix}" for suffix in ("md", "csv", "json")]
    figure = f"gains{ending}.png"
    if baseline and draw_gains(results, baseline, teacher_name, root / figure):
        written.append(figure)
    shown = format_table(summarize(results, baseline, teacher_name), progress.width)
    progress.say(f"\n{shown}\n")
    if shown != table:
        progress.say(f"more columns in {root / stem}.md")
    progress.say(f"wrote {', '.join(written)} to {root}")
    return table


def _write(
    root: Path,
    results: Sequence[RunResult],
    baseline: str | None,
    teacher: Run | None,
    ending: str = "",
) -> str:
    """Write the table to files, and return it."""
    return write_report(
        root,
        results,
        baseline,
        {**_machine(), **versions()},
        f"comparison{ending}",
        teacher.name if teacher else None,
        {"AP of each class": format_class_table(results)},
    )


def _report_shares(root: Path, runs: Sequence[Run], progress: Progress) -> None:
    """Write and print the shares of the gradient, and say which runs have none."""
    shares = format_gradient_shares(runs)
    if shares:
        progress.say(f"Shares of the gradient's norm on the student's neck:\n\n{shares}\n")
        write_file(root / "gradient_shares.md", shares + "\n")
    without = [f"{run.name}, seed {run.seed}" for run in distillations_without_shares(runs)]
    if without:
        progress.say(
            f"no shares of the gradient are known of {'; '.join(without)}: they are measured at "
            "start, middle and end of a training, if that has three iterations or more; to train "
            "a run again that was finished before, move its folder away"
        )


def _result(run: Run, metrics: Mapping[str, float | None]) -> RunResult:
    state = read_state(run.folder)
    return RunResult(
        run.name,
        run.seed,
        metrics,
        config_hash=state.get("config_hash"),
        train_seconds=state.get("train_seconds"),
        versions=state.get("versions", {}),
    )


def _check_arguments(
    configs: Sequence[str], seeds: Sequence[int], teacher: str | None, baseline: str | None
) -> None:
    if not configs or not seeds:
        raise ValueError(f"nothing to compare: configs {list(configs)}, seeds {list(seeds)}.")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds: a seed is named twice in {list(seeds)}.")
    names = [config_name(config) for config in (*configs, *([teacher] if teacher else []))]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"two configs (the teacher's included) are named {', '.join(sorted(twice))}; runs are "
            "told apart by the names of the config files: rename one."
        )
    if baseline is not None and config_name(baseline) not in [config_name(c) for c in configs]:
        raise ValueError(
            f"--baseline {baseline!r} is not among the compared configs; name one of "
            f"{list(configs)}."
        )


def check_configs(configs: Sequence[str], options: Sequence[str]) -> None:
    """Refuse what no training would begin with, before another run's folder is set aside for it.

    Args:
        configs: Config files.
        options: ``key=value`` options of all runs.

    Raises:
        TypeError: See :func:`tbd.engine.check_config`.
        ValueError: Likewise.
    """
    merged = parse_options(options)
    for config in configs:
        try:
            check_config(load_config(config, merged, needs_model=True))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{config}: {error}") from error


@contextmanager
def _printing_to(log: Path, verbose: bool) -> Iterator[None]:
    """Let what the data sets print go to a log too, unless all is to be seen."""
    if verbose:
        yield
        return
    # Not to the file itself, which a logger might keep and use when it is closed.
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        with log.open("a") as file:
            file.write(printed.getvalue())


def _machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }
