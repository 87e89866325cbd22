"""Knowledge distillation for object detection, as MMDetection plugins.

Importing the package registers everything under the scope ``tbd``, so that a
config with ``custom_imports = dict(imports=["tbd"])`` can name, say,
``type="tbd.TeacherStudentDetector"``. Its only other effect is the
compatibility layer of :mod:`tbd.compat`.
"""

from tbd.compat import check_distribution, install

# Both before anything imports mmdet, which imports mmcv's operators.
check_distribution()
install()

from tbd import datasets, engine, evaluation, losses, visualization  # noqa: E402
from tbd.detectors import TeacherStudentDetector  # noqa: E402
from tbd.distill import HarmonyDistillation, RoIDistillation, TaskDecoupledFeatureDistillation  # noqa: E402
from tbd.harmony import HarmonyScoreHead  # noqa: E402
from tbd.modules import TaskWeightGenerator  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "HarmonyDistillation",
    "HarmonyScoreHead",
    "RoIDistillation",
    "TaskDecoupledFeatureDistillation",
    "TaskWeightGenerator",
    "TeacherStudentDetector",
    "datasets",
    "engine",
    "evaluation",
    "losses",
    "visualization",
]
