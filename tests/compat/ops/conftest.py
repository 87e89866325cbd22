"""Reference numbers, recorded from mmcv's own compiled operators on a CPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

_FILE = Path(__file__).parents[2] / "data" / "mmcv_ops.npz"


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Tensor]:
    with np.load(_FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return lambda name: torch.tensor(arrays[name])
