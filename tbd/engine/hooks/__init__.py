"""Hooks of training runs. On a detector that is not distilled they have no effect."""

from tbd.engine.hooks.class_list import ClassListCheckHook
from tbd.engine.hooks.epoch_seed import EpochSeedHook
from tbd.engine.hooks.stop_distillation import StopDistillationHook
from tbd.engine.hooks.student_export import StudentExportHook

__all__ = ["ClassListCheckHook", "EpochSeedHook", "StopDistillationHook", "StudentExportHook"]
