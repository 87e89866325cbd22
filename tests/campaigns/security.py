"""Bring payloads of every format in by every door, and count what is executed.

    PYTHONPATH=.:tests python -m campaigns.security [DOOR …]

Prints a row per door, of those that are named or of all. A payload makes a folder when it is
executed; one that is only read, as it says nothing that runs, counts as refused where an error says
so and as read where none does.
"""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from unittest.mock import patch

from campaigns.doors import DOORS, Bench
from campaigns.payloads import PAYLOADS


def attack(bench: Bench, door: str, payload: str) -> str:
    """Bring one payload in by one door.

    Args:
        bench: What the doors work with.
        door: One of :data:`DOORS`.
        payload: One of :data:`PAYLOADS`.

    Returns:
        ``"executed"``, ``"refused"`` or ``"read"``.
    """
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    file, marker = folder / "payload.pth", folder / "executed"
    PAYLOADS[payload](file, bench.checkpoint, str(marker))
    outcome = "read"
    try:
        # Each with a cache of its own.
        with patch.dict(os.environ, TORCH_HOME=str(folder / "home")):
            DOORS[door](bench, file)
    except Exception:
        outcome = "refused"
    return "executed" if marker.exists() else outcome


def main() -> int:
    """Run the campaign and print its table, row by row."""
    logging.disable()
    warnings.simplefilter("ignore")
    total: Counter[str] = Counter()
    print(f"| door | payloads | executed | refused | read |\n|---|{'---:|' * 4}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for door in sys.argv[1:] or DOORS:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                counts = Counter(attack(bench, door, payload) for payload in PAYLOADS)
            numbers = (counts.total(), *(counts[name] for name in ("executed", "refused", "read")))
            print(f"| {door} | {' | '.join(map(str, numbers))} |", flush=True)
            total += counts
    print(f"\n{total['executed']} of {total.total()} executed")
    return 1 if total["executed"] else 0


if __name__ == "__main__":
    sys.exit(main())
