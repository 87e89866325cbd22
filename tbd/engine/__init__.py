"""The life of one run, in the order in which it goes.

1. :mod:`~tbd.engine.config`: the config is loaded, options of the command line over it, and
   :mod:`~tbd.engine.config_check` looks for what a run would pass over.
2. :mod:`~tbd.engine.data_check`: every annotation file that it will read is there, and
   :mod:`~tbd.engine.data_content`: what is in them can be learned from.
3. :mod:`~tbd.engine.resume`: an interrupted run goes on from its last good checkpoint.
4. :mod:`~tbd.engine.launch`: one process or many start, on machines without a GPU too.
5. :mod:`~tbd.engine.runner`: MMEngine's Runner is built, with a folder of its own.
6. :mod:`~tbd.engine.training` trains, and :mod:`~tbd.engine.hooks` act on the way: class lists
   are compared, epochs seeded, losses exchanged, pictures drawn, distillation stopped. Those that
   a distillation cannot be right without are brought by :mod:`~tbd.engine.needed_hooks`.
7. :mod:`~tbd.engine.export`: the student becomes a plain MMDetection detector, with
   :mod:`~tbd.engine.plain_model` for its config.
8. :mod:`~tbd.engine.evaluation`: a detector is measured on the test data.
"""

from tbd.engine.config import load_config, move_data_root
from tbd.engine.config_check import check_config
from tbd.engine.data_check import check_data
from tbd.engine.data_content import check_content
from tbd.engine.evaluation import evaluate
from tbd.engine.export import export_student
from tbd.engine.hooks import (
    ClassCountsHook,
    ClassListCheckHook,
    ConfigCheckHook,
    DensePredictionsHook,
    EpochSeedHook,
    GenerativeVisualizationHook,
    HarmonyVisualizationHook,
    LossPhaseHook,
    ParaphraserPhaseHook,
    StopDistillationHook,
    StudentExportHook,
    TrainingDataCheckHook,
)
from tbd.engine.launch import LAUNCHERS, launched, set_launcher
from tbd.engine.needed_hooks import NEEDED_HOOKS, bring_needed_hooks
from tbd.engine.resume import find_resumable, set_resume
from tbd.engine.training import train

__all__ = [
    "LAUNCHERS",
    "NEEDED_HOOKS",
    "ClassCountsHook",
    "ClassListCheckHook",
    "ConfigCheckHook",
    "DensePredictionsHook",
    "EpochSeedHook",
    "GenerativeVisualizationHook",
    "HarmonyVisualizationHook",
    "LossPhaseHook",
    "ParaphraserPhaseHook",
    "StopDistillationHook",
    "StudentExportHook",
    "TrainingDataCheckHook",
    "bring_needed_hooks",
    "check_config",
    "check_content",
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
