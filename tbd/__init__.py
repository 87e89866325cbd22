"""Knowledge distillation for object detection, as MMDetection plugins.

Importing the package registers everything under the scope ``tbd``, so that a
config with ``custom_imports = dict(imports=["tbd"])`` can name, say,
``type="tbd.TeacherStudentDetector"``. Its only other effects are the
compatibility layer of :mod:`tbd.compat` and the hooks of
:mod:`tbd.engine.needed_hooks`, which a Runner gives every distillation.
"""

from tbd.compat import (
    check_distribution,
    configs_dir,
    import_quietly,
    install,
    mend_ssd_prediction,
)

# The first two before anything imports mmdet, which imports mmcv's operators.
check_distribution()
install()
import_quietly()
mend_ssd_prediction()

from tbd import datasets, engine, evaluation, generative, heads, losses, visualization
from tbd.api import compare, export, test, train
from tbd.detectors import TeacherStudentDetector
from tbd.distill import (
    AdversarialFeatureDistillation,
    BinaryClassificationDistillation,
    ChannelWiseDistillation,
    CrossHeadDistillation,
    FactorTransfer,
    FeatureImitation,
    FeatureRichnessDistillation,
    FocalGlobalDistillation,
    FoundationFeatureDistillation,
    HarmonyDistillation,
    LocalizationDistillation,
    LogitDistillation,
    MaskedGenerativeDistillation,
    PearsonFeatureDistillation,
    PredictionGuidedDistillation,
    QualityAlignedDistillation,
    QueryDistillation,
    RoIDistillation,
    ScoreWeightedFeatureDistillation,
    TaskDecoupledFeatureDistillation,
    VariationalInformationDistillation,
)
from tbd.generative import (
    AutoEncoder,
    ConvAutoEncoder,
    GenerativeAdversarialNetwork,
    VariationalAutoEncoder,
)
from tbd.harmony import HarmonyScoreHead
from tbd.modules import RecurrentTaskWeightGenerator, TaskWeightGenerator

engine.bring_needed_hooks()

__version__ = "0.1.0"

__all__ = [
    "AdversarialFeatureDistillation",
    "AutoEncoder",
    "BinaryClassificationDistillation",
    "ChannelWiseDistillation",
    "ConvAutoEncoder",
    "CrossHeadDistillation",
    "FactorTransfer",
    "FeatureImitation",
    "FeatureRichnessDistillation",
    "FocalGlobalDistillation",
    "FoundationFeatureDistillation",
    "GenerativeAdversarialNetwork",
    "HarmonyDistillation",
    "HarmonyScoreHead",
    "LocalizationDistillation",
    "LogitDistillation",
    "MaskedGenerativeDistillation",
    "PearsonFeatureDistillation",
    "PredictionGuidedDistillation",
    "QualityAlignedDistillation",
    "QueryDistillation",
    "RecurrentTaskWeightGenerator",
    "RoIDistillation",
    "ScoreWeightedFeatureDistillation",
    "TaskDecoupledFeatureDistillation",
    "TaskWeightGenerator",
    "TeacherStudentDetector",
    "VariationalAutoEncoder",
    "VariationalInformationDistillation",
    "compare",
    "configs_dir",
    "datasets",
    "engine",
    "evaluation",
    "export",
    "generative",
    "heads",
    "losses",
    "test",
    "train",
    "visualization",
]
