"""Measure the trained run in a folder: ``python -m tbd.studies.comparison FOLDER``."""

import sys
from pathlib import Path

from tbd.studies.comparison.config_hash import config_hash
from tbd.studies.comparison.data_digest import digest_of_annotations
from tbd.studies.comparison.measurement import measure
from tbd.studies.comparison.processor import processor
from tbd.studies.comparison.runs import TEST_DIGEST, Run, read_state, write_state
from tbd.studies.comparison.versions import versions


def measure_folder(folder: Path) -> None:
    """Evaluate the run in a folder, and write its metrics and what they depend on beside it.

    Args:
        folder: Work directory of a run that is trained to its end.
    """
    state = read_state(folder)
    run = Run(state["config"], state["seed"], folder, tuple(state["options"]), state["fingerprint"])
    cfg = run.load()
    tested_on = digest_of_annotations(cfg, "test")
    metrics = measure(run)
    found = {
        "metrics": metrics,
        TEST_DIGEST: tested_on,
        "config_hash": config_hash(cfg),
        "versions": {**versions(), "processor": processor()},
    }
    write_state(folder, {**state, **found})


if __name__ == "__main__":
    measure_folder(Path(sys.argv[1]))
