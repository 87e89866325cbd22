"""Train from configs with one mistake each, and count what becomes of them.

    PYTHONPATH=.:tests python -m campaigns.configs [--number 600] [--seed 0]

Prints a row per kind of mistake and every config that trained in silence, ended in an error of
Python's from a line of tbd, or was refused without naming what is wrong. Its status is 1 if there
is any.
"""

import argparse
import contextlib
import io
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer
from tiny_run import write_data

from campaigns.config_mutations import Mutation, anywhere, base_config, mutations
from campaigns.outcomes import FREE, Outcome, judge, print_table
from tbd.engine import train


@contextlib.contextmanager
def quick_and_quiet() -> Iterator[None]:
    """Without yapf, which formats a config half a dozen times a run, and without any print."""
    with (
        patch("yapf.yapflib.yapf_api.FormatCode", lambda text, **_: (text, False)),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def train_from(content: dict[str, Any], work_dir: Path) -> None:
    """Train from a config that may hold values which no file can."""
    # Loggers and visualizers are global, by name.
    content["experiment_name"] = work_dir.name
    for kind in (MMLogger, MessageHub, Visualizer, DetLocalVisualizer):
        kind._instance_dict.clear()
    try:
        with patch("tbd.engine.training.load_config", lambda *_, **__: Config(content)):
            train("mutated.py", str(work_dir))
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)


def attack(content: dict[str, Any], mutation: Mutation, folder: Path, number: int) -> Outcome:
    """Train from a config with one mistake."""
    work_dir = folder / f"run_{number}"
    try:
        with quick_and_quiet():
            train_from(mutation.applied(content), work_dir)
    except Exception as error:
        return Outcome(mutation.family, str(mutation), *judge(error, mutation.wanted))
    verdict = "not judged" if mutation.family == FREE else "silent"
    return Outcome(mutation.family, str(mutation), verdict)


def campaign(chosen: Iterable[Mutation], folder: Path) -> Iterator[Outcome]:
    """Train from each of the mutations."""
    content = base_config(folder / "data")
    for number, mutation in enumerate(chosen):
        yield attack(content, mutation, folder, number)


def main() -> int:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, help="how many mutations. Default: all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "data", images=4)
        config = base_config(folder / "data")
        chosen = mutations(config, args.seed)[: args.number]
        chosen += anywhere(config, args.seed, len(chosen) // 3)
        with quick_and_quiet():
            # What is wrong must be the mutation alone.
            train_from(base_config(folder / "data"), folder / "sound")
        return bool(print_table(list(campaign(chosen, folder))))


if __name__ == "__main__":
    sys.exit(main())
