"""What MMEngine logged of a training, as far as it can be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_scalars(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what a run logged, losses and validations, each with its ``step``.

    A power loss or a full disk leaves half a line; such lines are passed over.

    Args:
        folder: Of the run; what an interrupted and resumed run logged comes one after the other.
    """
    for file in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in file.read_text(errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "step" in record:
                yield record
