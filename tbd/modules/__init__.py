"""Small networks that distillation trains beside the student and that are dropped afterwards."""

from tbd.modules.adaptation import AdaptationKind, build_adaptation
from tbd.modules.frozen import FrozenModule
from tbd.modules.generation import build_generation
from tbd.modules.global_context import GlobalContextPair
from tbd.modules.image_encoder import ImageEncoder, build_image_encoder
from tbd.modules.projector import build_projector
from tbd.modules.recurrent_task_weight import RecurrentTaskWeightGenerator
from tbd.modules.task_weight import TaskWeightGenerator
from tbd.modules.weight_generators import (
    WeightGenerator,
    build_weight_generator,
    check_weight_generator,
)

__all__ = [
    "AdaptationKind",
    "FrozenModule",
    "GlobalContextPair",
    "ImageEncoder",
    "RecurrentTaskWeightGenerator",
    "TaskWeightGenerator",
    "WeightGenerator",
    "build_adaptation",
    "build_generation",
    "build_image_encoder",
    "build_projector",
    "build_weight_generator",
    "check_weight_generator",
]
