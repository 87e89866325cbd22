"""Keeping distillation out of the student's random numbers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_randomness() -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch on leaving.

    What a distilled run draws for its teacher and its terms must not shift the
    numbers that the student draws, or it could not be compared with plain
    training from the same seed.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
