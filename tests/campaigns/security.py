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
from collections.abc import Iterable
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


def campaign(doors: Iterable[str], payloads: Iterable[str]) -> dict[str, Counter[str]]:
    """Attack every door with every payload.

    Returns:
        Door → how many payloads had which outcome.
    """
    payloads = list(payloads)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        return {
            door: Counter(attack(bench, door, payload) for payload in payloads) for door in doors
        }


def main() -> int:
    """Run the whole campaign and print its table."""
    logging.disable()
    warnings.simplefilter("ignore")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        found = campaign(sys.argv[1:] or DOORS, PAYLOADS)
    print(f"| door | payloads | executed | refused | read |\n|---|{'---:|' * 4}")
    for door, counts in found.items():
        numbers = (counts.total(), *(counts[name] for name in ("executed", "refused", "read")))
        print(f"| {door} | {' | '.join(map(str, numbers))} |")
    executed = sum(counts["executed"] for counts in found.values())
    print(f"\n{executed} of {sum(c.total() for c in found.values())} executed")
    return 1 if executed else 0


if __name__ == "__main__":
    sys.exit(main())
