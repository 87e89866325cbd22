"""Train on data sets with one fault each, and count what becomes of them.

    PYTHONPATH=.:tests python -m campaigns.annotations [--number 240] [--seed 0]

A fault is dealt with if the training is refused with the name of the file, or if a warning of its
start names the file and what is wrong. Prints a row per kind of fault and every one that was not
dealt with; its status is 1 if there is any.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

from tiny_run import write_data

from campaigns.annotation_mutations import FILE, DataMutation, mutations
from campaigns.config_mutations import base_config
from campaigns.configs import quick_and_quiet, train_from
from campaigns.outcomes import Outcome, judge, print_table
from tbd.engine.hooks import TrainingDataCheckHook


def attack(mutation: DataMutation, folder: Path, number: int) -> Outcome:
    """Train on a data set with one fault."""
    root = folder / f"data_{number}"
    write_data(root, images=4)
    mutation.apply(root)
    said: list[str] = []
    try:
        with (
            quick_and_quiet(),
            patch.object(TrainingDataCheckHook, "take", lambda _, warnings: said.extend(warnings)),
        ):
            train_from(base_config(root), folder / f"run_{number}")
    except Exception as error:
        return Outcome(mutation.family, mutation.name, *judge(error, mutation.wanted))
    finally:
        shutil.rmtree(root)
    message = " ".join(said)
    if FILE not in message:
        return Outcome(mutation.family, mutation.name, "silent", message)
    lacks = mutation.wanted.lacks(message)
    verdict = "unhelpful" if lacks else "reported"
    return Outcome(mutation.family, mutation.name, verdict, message, lacks)


def campaign(chosen: Iterable[DataMutation], folder: Path) -> Iterator[Outcome]:
    """Train on each of the data sets."""
    for number, mutation in enumerate(chosen):
        yield attack(mutation, folder, number)


def main() -> int:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=240, help="how many faults. Default: 240")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        outcomes = list(campaign(mutations(args.number, args.seed), Path(name)))
    return bool(print_table(outcomes))


if __name__ == "__main__":
    sys.exit(main())
