"""Where the losses of a distillation pull the student: towards better scores, or better boxes."""

from tbd.studies.gradients.directions import Direction, Directions, measure_directions
from tbd.studies.gradients.gradients import (
    finished_directions,
    format_gradients,
    measure_gradients,
)

__all__ = [
    "Direction",
    "Directions",
    "finished_directions",
    "format_gradients",
    "measure_directions",
    "measure_gradients",
]
