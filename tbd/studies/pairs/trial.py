"""Proof that a distillation config works: two training steps, the export, the stock detector."""

import copy
import inspect
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tbd.detectors import TeacherStudentDetector
from tbd.distill import DistillationTerm, UnsuitablePairError, term_types, trial_terms
from tbd.engine.config import config_name
from tbd.registry import MODELS
from tbd.studies.pairs.export_check import check_export
from tbd.studies.pairs.probe import Probe, losses_of
from tbd.studies.pairs.trial_config import trial_config

OPTIONAL_PACKAGE = "sklearn"
"""What PAA's loss imports, and MMDetection does not ask for."""


@dataclass(frozen=True)
class TermTrial:
    """What became of one term on one pair.

    Attributes:
        refusal: Why the term does not apply to the pair; empty where it works.
        losses: Its losses at the first step, by name.
        reaches: Parts of the student that its gradient reaches.
    """

    refusal: str = ""
    losses: Mapping[str, float] | None = None
    reaches: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairTrial:
    """What became of one distillation config.

    Attributes:
        name: Name of the config, without folder and suffix.
        student: Class name of the student.
        teacher: Class name of the teacher, "none" where there is none.
        own_terms: Types of the terms that the config itself has.
        terms: By type, each term of the config and each other that was tried.
        missing: What the student's own training needs and this environment
            lacks; empty where the pair was trained.
        seconds: Duration of the trial.
    """

    name: str
    student: str
    teacher: str
    own_terms: tuple[str, ...]
    terms: Mapping[str, TermTrial]
    missing: str
    seconds: float


def try_pair(config: str, full_width: bool = False, all_terms: bool = True) -> PairTrial:
    """Train a distillation for two steps, export its student and run that in plain MMDetection.

    Args:
        config: Config file of the distillation; a plain detector, ``mmdet::…`` or a file, is
            distilled into itself.
        full_width: Train the detectors as they are, not scaled down.
        all_terms: Beside the terms of the config every other term that the pair accepts takes
            part.

    Returns:
        What was found.

    Raises:
        BrokenDistillationError: A loss is not finite or 0, a gradient does not arrive, the
            teacher changes, or the exported student predicts something else.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as work_dir:
        cfg = trial_config(config, work_dir, full_width)
        own_terms = tuple(term["type"] for term in cfg.model.distill.values() if term)
        runner, refusals = _build_with_all_terms(cfg) if all_terms else (Runner.from_cfg(cfg), {})
        model = runner.model
        probe = Probe()
        # Before averaging of weights makes its copy.
        runner.register_hook(probe, priority="VERY_HIGH")
        missing = ""
        try:
            runner.train()
        except ImportError as error:
            if OPTIONAL_PACKAGE not in str(error):
                raise
            missing = "the student's own loss needs scikit-learn"
        else:
            # Terms with teachers of their own compare features; none of them need reach the head.
            probe.check(model, all_terms and model.has_teacher)
            check_export(config, cfg, runner)
    return PairTrial(
        name=config_name(config),
        student=type(model.student).__name__,
        teacher=type(model.teacher).__name__ if model.has_teacher else "none",
        own_terms=own_terms,
        terms={kind: TermTrial(refusal=reason) for kind, reason in refusals.items()}
        | _term_trials(probe, model),
        missing=missing,
        seconds=time.perf_counter() - start,
    )


def try_pairs(
    configs: Sequence[str],
    jobs: int = 1,
    full_width: bool = False,
    progress: Callable[[str], None] = print,
) -> tuple[list[PairTrial], dict[str, str]]:
    """Try several configs, in processes of their own.

    Args:
        configs: See :func:`try_pair`.
        jobs: Number of processes, which share the CPU's cores.
        full_width: See :func:`try_pair`.
        progress: Called with a line after each config.

    Returns:
        The trials in the order of their configs, and the error of each config that failed.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    trials, errors = {}, {}
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=_prepare_worker, initargs=(threads,)
    ) as pool:
        futures = {pool.submit(try_pair, config, full_width): config for config in configs}
        for number, future in enumerate(as_completed(futures), start=1):
            config = futures[future]
            count = f"[{number}/{len(configs)}] {config_name(config)}:"
            try:
                trials[config] = future.result()
            # Whatever went wrong with one pair, the others are still to be tried.
            except Exception as error:
                errors[config] = f"{type(error).__name__}: {error}"
                progress(f"{count} FAILED, {errors[config]}")
            else:
                outcome = trials[config].missing or "works"
                progress(f"{count} {outcome}, {trials[config].seconds:.1f} s")
    return [trials[config] for config in configs if config in trials], errors


def _prepare_worker(threads: int) -> None:
    # Fewer where OMP_NUM_THREADS says so.
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    warnings.filterwarnings("ignore")


def _build_with_all_terms(cfg: Config) -> tuple[Runner, dict[str, str]]:
    """Build the runner with the config's terms and all others that the pair accepts.

    Returns:
        The runner, and for each other term the reason why the pair refuses it.
    """
    own = {term["type"] for term in cfg.model.distill.values() if term}
    others = {
        kind.replace(".", "_"): kind
        for kind in term_types()
        if kind not in own and _is_tried(MODELS.get(kind))
    }
    refusals: dict[str, str] = {}
    while True:
        trial = copy.deepcopy(cfg)
        trial.model.distill.update(
            trial_terms({name: dict(type=kind) for name, kind in others.items()})
        )
        try:
            return Runner.from_cfg(trial), refusals
        except UnsuitablePairError as error:
            if error.term not in others:
                raise
            refused = {error.term: others[error.term]}
            # Every other term that reads the same is refused for the same reason.
            refused |= {
                name: kind for name, kind in others.items() if error.needs in MODELS.get(kind).reads
            }
            for name, kind in refused.items():
                refusals[kind] = error.reason
                others.pop(name)


def _is_tried(kind: type[DistillationTerm]) -> bool:
    """Whether a term can be built without anything that only a user knows."""
    return all(
        name in kind.trial_options or parameter.default is not parameter.empty
        for name, parameter in inspect.signature(kind).parameters.items()
    )


def _term_trials(probe: Probe, model: TeacherStudentDetector) -> dict[str, TermTrial]:
    return {
        f"tbd.{type(term).__name__}": TermTrial(
            losses=losses_of(name, probe.losses[0]) if probe.losses else None,
            reaches=probe.gradients.get(name, ()),
        )
        for name, term in model.terms.items()
    }
