"""Where the losses of a distillation pull the student: towards better scores, or better boxes."""

from tbd.studies.gradients.directions import Direction, measure_directions
from tbd.studies.gradients.gradients import format_gradients, measure_gradients

__all__ = ["Direction", "format_gradients", "measure_directions", "measure_gradients"]
