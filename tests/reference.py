"""Numbers that the methods' public code gives, see data/README.md."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"


def reference(method: str) -> dict[str, Tensor]:
    """Inputs and results of a method's public code in float64, by name."""
    with np.load(DATA / f"{method}.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def state_dict(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters among the arrays, named as the public code names them."""
    prefix = "state."
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
