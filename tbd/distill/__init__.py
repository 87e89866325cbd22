"""Distillation terms, one file each, on the views that they share."""

from tbd.distill.adversarial import AdversarialFeatureDistillation
from tbd.distill.binary_classification import BinaryClassificationDistillation
from tbd.distill.build import build_terms, term_types, trial_terms
from tbd.distill.channel_wise import ChannelWiseDistillation, channel_wise_loss
from tbd.distill.cross_head import CrossHeadDistillation, aligned_statistics
from tbd.distill.factor_transfer import FactorTransfer, factor_transfer_loss
from tbd.distill.feature_imitation import FeatureImitation, imitation_loss
from tbd.distill.feature_richness import FeatureRichnessDistillation, richness_classification_loss
from tbd.distill.focal_global import FocalGlobalDistillation, attention_loss, focal_feature_loss
from tbd.distill.foundation import FoundationFeatureDistillation, cosine_feature_loss
from tbd.distill.ground_truth import GroundTruth
from tbd.distill.harmony import HarmonyDistillation, harmony_distillation_loss
from tbd.distill.harmony_maps import harmony_maps
from tbd.distill.localization import LocalizationDistillation
from tbd.distill.logit import (
    LogitDistillation,
    sigmoid_distillation_loss,
    softmax_distillation_loss,
)
from tbd.distill.masked_generative import MaskedGenerativeDistillation, masked_generative_loss
from tbd.distill.pearson import PearsonFeatureDistillation, pearson_feature_loss
from tbd.distill.prediction_guided import (
    PredictionGuidedDistillation,
    guided_box_loss,
    guided_classification_loss,
)
from tbd.distill.prediction_losses import (
    bin_distribution_loss,
    quality_focal_distillation_loss,
)
from tbd.distill.quality_aligned import QualityAlignedDistillation, relative_quality
from tbd.distill.query import QueryDistillation, target_aware_feature_loss
from tbd.distill.roi import RoIDistillation, roi_box_loss, roi_classification_loss
from tbd.distill.schedule import Progress, WeightSchedule
from tbd.distill.score_weighted import ScoreWeightedFeatureDistillation, score_weighted_feature_loss
from tbd.distill.spec import (
    NO_TEACHER,
    DetectorSpec,
    HeadSpec,
    InputSpec,
    QuerySpec,
    RoISpec,
    TowerSpec,
)
from tbd.distill.task_decoupled import (
    TaskDecoupledFeatureDistillation,
    task_decoupled_feature_loss,
)
from tbd.distill.term import DistillationTerm, Read, UnsuitablePairError
from tbd.distill.variational_information import (
    VariationalInformationDistillation,
    variational_information_loss,
)
from tbd.distill.view import View

__all__ = [
    "NO_TEACHER",
    "AdversarialFeatureDistillation",
    "BinaryClassificationDistillation",
    "ChannelWiseDistillation",
    "CrossHeadDistillation",
    "DetectorSpec",
    "DistillationTerm",
    "FactorTransfer",
    "FeatureImitation",
    "FeatureRichnessDistillation",
    "FocalGlobalDistillation",
    "FoundationFeatureDistillation",
    "GroundTruth",
    "HarmonyDistillation",
    "HeadSpec",
    "InputSpec",
    "LocalizationDistillation",
    "LogitDistillation",
    "MaskedGenerativeDistillation",
    "PearsonFeatureDistillation",
    "PredictionGuidedDistillation",
    "Progress",
    "QualityAlignedDistillation",
    "QueryDistillation",
    "QuerySpec",
    "Read",
    "RoIDistillation",
    "RoISpec",
    "ScoreWeightedFeatureDistillation",
    "TaskDecoupledFeatureDistillation",
    "TowerSpec",
    "UnsuitablePairError",
    "VariationalInformationDistillation",
    "View",
    "WeightSchedule",
    "aligned_statistics",
    "attention_loss",
    "bin_distribution_loss",
    "build_terms",
    "channel_wise_loss",
    "cosine_feature_loss",
    "factor_transfer_loss",
    "focal_feature_loss",
    "guided_box_loss",
    "guided_classification_loss",
    "harmony_distillation_loss",
    "harmony_maps",
    "imitation_loss",
    "masked_generative_loss",
    "pearson_feature_loss",
    "quality_focal_distillation_loss",
    "relative_quality",
    "richness_classification_loss",
    "roi_box_loss",
    "roi_classification_loss",
    "score_weighted_feature_loss",
    "sigmoid_distillation_loss",
    "softmax_distillation_loss",
    "target_aware_feature_loss",
    "task_decoupled_feature_loss",
    "term_types",
    "trial_terms",
    "variational_information_loss",
]
