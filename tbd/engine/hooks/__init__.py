"""Hooks of training runs. Those of distillation have no effect on a plain detector."""

from tbd.engine.hooks.class_counts import ClassCountsHook
from tbd.engine.hooks.class_list import ClassListCheckHook
from tbd.engine.hooks.config_check import ConfigCheckHook
from tbd.engine.hooks.dense_predictions import DensePredictionsHook
from tbd.engine.hooks.epoch_seed import EpochSeedHook
from tbd.engine.hooks.finite_check import FiniteCheckHook
from tbd.engine.hooks.generative_visualization import GenerativeVisualizationHook
from tbd.engine.hooks.gradient_shares import GradientShareHook
from tbd.engine.hooks.harmony_visualization import HarmonyVisualizationHook
from tbd.engine.hooks.loss_phase import LossPhaseHook
from tbd.engine.hooks.paraphraser_phase import ParaphraserPhaseHook
from tbd.engine.hooks.progress_file import ProgressFileHook
from tbd.engine.hooks.resume_check import ResumeCheckHook
from tbd.engine.hooks.resume_state import ResumeStateHook
from tbd.engine.hooks.stop_distillation import StopDistillationHook
from tbd.engine.hooks.student_export import StudentExportHook
from tbd.engine.hooks.training_data import TrainingDataCheckHook

__all__ = [
    "ClassCountsHook",
    "ClassListCheckHook",
    "ConfigCheckHook",
    "DensePredictionsHook",
    "EpochSeedHook",
    "FiniteCheckHook",
    "GenerativeVisualizationHook",
    "GradientShareHook",
    "HarmonyVisualizationHook",
    "LossPhaseHook",
    "ParaphraserPhaseHook",
    "ProgressFileHook",
    "ResumeCheckHook",
    "ResumeStateHook",
    "StopDistillationHook",
    "StudentExportHook",
    "TrainingDataCheckHook",
]
