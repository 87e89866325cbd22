"""Runs of training and evaluation: configs, checks, launching, hooks, export."""

from tbd.engine.config import load_config, move_data_root
from tbd.engine.data_check import check_data
from tbd.engine.evaluation import evaluate
from tbd.engine.export import export_student
from tbd.engine.hooks import (
    ClassCountsHook,
    ClassListCheckHook,
    DensePredictionsHook,
    EpochSeedHook,
    GenerativeVisualizationHook,
    HarmonyVisualizationHook,
    LossPhaseHook,
    StopDistillationHook,
    StudentExportHook,
)
from tbd.engine.launch import LAUNCHERS, launched, set_launcher
from tbd.engine.resume import find_resumable, set_resume
from tbd.engine.training import train

__all__ = [
    "LAUNCHERS",
    "ClassCountsHook",
    "ClassListCheckHook",
    "DensePredictionsHook",
    "EpochSeedHook",
    "GenerativeVisualizationHook",
    "HarmonyVisualizationHook",
    "LossPhaseHook",
    "StopDistillationHook",
    "StudentExportHook",
    "check_data",
    "evaluate",
    "export_student",
    "find_resumable",
    "launched",
    "load_config",
    "move_data_root",
    "set_launcher",
    "set_resume",
    "train",
]
