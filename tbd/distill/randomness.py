"""Random numbers of a term that a resumed training repeats and the student's are not shifted by."""

import numpy as np
import torch
from mmengine.dist import get_rank

from tbd.distill.schedule import Progress


class StepRandomness:
    """Makes a generator for each training step out of the run's seed and the step's number.

    The seed is the one that the default generator was last seeded with (with
    :class:`~tbd.engine.EpochSeedHook`, that of the epoch), the number is the
    Runner's iteration; each rank has a generator of its own. So a training that
    resumes draws what an uninterrupted one would have drawn, and the numbers of
    the default generator, which the student draws from, stay as in plain training.
    """

    def __init__(self) -> None:
        self._iteration = 0
        self._repeats = 0

    def generator(self) -> torch.Generator:
        """Generator on the CPU for this step; where no Runner counts, every call is a step."""
        progress = Progress.of_runner()
        iteration = progress.iteration if progress else 0
        self._repeats = self._repeats + 1 if iteration == self._iteration else 0
        self._iteration = iteration
        entropy = [torch.initial_seed() % 2**63, iteration, self._repeats, get_rank()]
        seed = np.random.SeedSequence(entropy).generate_state(1)[0]
        return torch.Generator().manual_seed(int(seed))
