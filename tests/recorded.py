"""Made-up records of runs."""

from tbd.studies.results.record import RunRecord


def record(name, seed, ap=None, *, baseline=None, teacher=None, **metrics):
    """A run of ``configs/cells/<name>.py``."""
    return RunRecord(
        config=f"configs/cells/{name}.py",
        config_hash=f"hash of {name}",
        seed=seed,
        baseline=baseline,
        teacher=teacher,
        teacher_seed=0 if teacher else None,
        metrics={**({} if ap is None else {"ap": ap}), **metrics},
        started=f"2026-01-0{seed % 9 + 1}T10:00:00",
        wall_seconds=600.0,
        versions={"python": "3.11", "torch": "2.15", "tbd": "0123456789"},
        hardware="one core",
    )
