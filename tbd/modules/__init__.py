"""Small networks that distillation trains beside the student and that are dropped afterwards."""

from tbd.modules.adaptation import AdaptationKind, build_adaptation
from tbd.modules.task_weight import TaskWeightGenerator

__all__ = ["AdaptationKind", "TaskWeightGenerator", "build_adaptation"]
