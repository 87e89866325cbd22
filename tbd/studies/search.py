"""Search of a method's loss weights, with the same budget for every method."""

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tbd.engine.config import config_name, load_config
from tbd.engine.config_options import parse_options
from tbd.files import write_file
from tbd.studies.comparison.comparison import check_configs, finish_run
from tbd.studies.comparison.methods import OPTION
from tbd.studies.comparison.runs import ORIGIN, Run, make_run
from tbd.studies.comparison.teacher_check import check_teacher
from tbd.visualization.markdown import markdown_table

SEARCH_SEEDS = (100, 101, 102)
"""Seeds that choose, and that no final table uses. The first of them tries every factor."""

_TERMS = "model.distill."


@dataclass(frozen=True)
class Trial:
    """One factor by which a method's weights were multiplied.

    Attributes:
        factor: The factor; 1 leaves the config as it is.
        config: Config file that was trained.
        weights: Config key → weight.
        aps: Seed → AP in percent.
    """

    factor: float
    config: str
    weights: Mapping[str, float]
    aps: Mapping[int, float]

    @property
    def mean(self) -> float | None:
        """Mean AP over :data:`SEARCH_SEEDS`; None where not all of them were trained."""
        return statistics.fmean(self.aps.values()) if len(self.aps) == len(SEARCH_SEEDS) else None


def search(
    config: str,
    keys: Sequence[str],
    work_dir: str | os.PathLike[str],
    *,
    teacher: str | None = None,
    teacher_seed: int = 0,
    trials: int = 6,
    step: float = 2.0,
    finalists: int = 2,
    options: Sequence[str] = (),
) -> Trial:
    """Find the factor of a method's weights that gives the highest AP.

    The weights are multiplied together by powers of ``step`` around 1. Every factor is trained from
    the first of :data:`SEARCH_SEEDS`, the best ones from the others too; the highest mean wins.
    Finished runs are kept, so that the same call goes on after an interruption.

    Writes ``<name of the config>.json`` and ``.md`` with all trials to the work directory, the
    configs of the trials to ``configs`` in it, and each run to a folder of its own.

    Args:
        config: Config file of a distillation.
        keys: Config keys of its weights, such as ``model.distill.hd.loss_weight``.
        work_dir: Folder for everything. A teacher that is trained in it already is taken.
        teacher: Config of the teacher, trained once.
        teacher_seed: The seed of the teacher.
        trials: Number of factors.
        step: Ratio of neighbouring factors, above 1.
        finalists: How many of the best are trained from all seeds.
        options: ``--cfg-options`` for all runs, ``key=value``.

    Returns:
        The trial that won.

    Raises:
        ValueError: A key is no positive number of the config, an option sets one, or a number is
            out of range.
        RuntimeError: A training failed.
    """
    if trials < 1 or not 1 <= finalists <= trials or not step > 1:
        raise ValueError(
            f"trials must be at least 1, finalists from 1 to trials, step above 1; got {trials}, "
            f"{finalists}, {step}."
        )
    root = Path(work_dir)
    weights = _weights(config, keys)
    _check_options(options, weights)
    # Before anything is written: options and teacher may be wrong.
    check_configs([config, *([teacher] if teacher else [])], options)
    make_run(config, SEARCH_SEEDS[0], root, options)
    check_teacher(teacher, teacher_seed, [config], options)
    teacher_run = None if teacher is None else make_run(teacher, teacher_seed, root, options)
    planned = []
    for factor in factors(trials, step):
        scaled = {key: factor * weight for key, weight in weights.items()}
        planned.append(Trial(factor, _write_config(config, factor, scaled, root), scaled, {}))
        # Before anything is trained: what is wrong with a config shows here.
        load_config(planned[-1].config)
    if teacher_run is not None:
        finish_run(teacher_run)

    def train(trial: Trial, seed: int) -> Trial:
        run: Run = make_run(trial.config, seed, root, options, teacher_run)
        print(f"\n== {run.name}, seed {seed} ==", flush=True)
        ap = finish_run(run).get("ap") or 0.0
        return Trial(trial.factor, trial.config, trial.weights, {**trial.aps, seed: ap})

    found = []
    for trial in planned:
        found.append(train(trial, SEARCH_SEEDS[0]))
        _write(found, config, root)
    best = sorted(found, key=lambda trial: -trial.aps[SEARCH_SEEDS[0]])[:finalists]
    for seed in SEARCH_SEEDS[1:]:
        for trial in best:
            place = next(i for i, other in enumerate(found) if other.factor == trial.factor)
            found[place] = train(found[place], seed)
            _write(found, config, root)
    winner, outcome = _winner(found)
    print(f"\n{format_trials(found)}\n\n{outcome}", flush=True)
    return winner


def factors(trials: int, step: float) -> list[float]:
    """Powers of ``step`` around 1, in ascending order: one more below than above if even."""
    first = -(trials // 2)
    return [step**exponent for exponent in range(first, first + trials)]


def format_trials(trials: Sequence[Trial]) -> str:
    """Format trials as a Markdown table, seeds as columns."""
    rows = [["factor", "weights", *(f"seed {seed}" for seed in SEARCH_SEEDS), "mean"]]
    for trial in trials:
        cells = [f"{trial.aps[seed]:.1f}" if seed in trial.aps else "–" for seed in SEARCH_SEEDS]
        mean = "–" if trial.mean is None else f"{trial.mean:.1f}"
        weights = ", ".join(f"{weight:g}" for weight in trial.weights.values())
        rows.append([f"{trial.factor:g}", weights, *cells, mean])
    return markdown_table(rows)


def _winner(trials: Sequence[Trial]) -> tuple[Trial, str]:
    """The trial of the highest mean, the first of several, and what to say of it."""
    means = [(trial, trial.mean) for trial in trials if trial.mean is not None]
    winner, best = max(means, key=lambda pair: pair[1])
    tied = [f"{trial.factor:g}" for trial, mean in means if mean == best]
    if len(tied) == 1:
        return winner, f"factor {winner.factor:g} wins"
    return winner, f"factors {', '.join(tied)} tie; {winner.factor:g} is taken"


def _weights(config: str, keys: Sequence[str]) -> dict[str, float]:
    content = load_config(config).to_dict()
    if not keys:
        raise ValueError(f"no key to search in {config}.")
    weights = {}
    for key in keys:
        value: Any = content
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < math.inf
        ):
            raise ValueError(
                f"--keys: {key!r} of {config} is {str(value)[:60]}; a search multiplies positive "
                "numbers. Name a weight that the config sets, such as model.distill.hd.loss_weight."
            )
        weights[key] = float(value)
    return weights


def _check_options(options: Sequence[str], weights: Mapping[str, float]) -> None:
    for option, value in parse_options(options).items():
        for key, weight in weights.items():
            if key == option or key.startswith(f"{option}."):
                raise ValueError(
                    f"--cfg-options: {option}={value} sets what the search varies, {key}, from "
                    f"the config's {weight:g} on. Leave it out, or set it in the config."
                )


def _write_config(config: str, factor: float, weights: Mapping[str, float], root: Path) -> str:
    """Write the config of a trial, whose name tells it apart in work directories and tables."""
    nested: dict[str, Any] = {}
    for key, weight in weights.items():
        *parents, last = key.split(".")
        node = nested
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = weight
    stem = config_name(config)
    path = root / "configs" / f"{stem}_x{factor:g}.py"
    base = config if "::" in config else str(Path(config).resolve())
    # As a comparison names the same run, by which it is recorded.
    options = [f"{key.removeprefix(_TERMS)}={weight:g}" for key, weight in weights.items()]
    origin = {"pair": config, "terms": OPTION.join([stem.partition("_")[0], *options])}
    write_file(path, f"_base_ = {base!r}\n\n" + Config({**nested, ORIGIN: origin}).dump())
    return str(path)


def _write(trials: Sequence[Trial], config: str, root: Path) -> None:
    name = config_name(config)
    content = json.dumps([asdict(trial) for trial in trials], indent=2)
    write_file(root / f"{name}.json", content + "\n")
    write_file(root / f"{name}.md", format_trials(trials) + "\n")
