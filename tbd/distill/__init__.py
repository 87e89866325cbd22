"""Distillation terms, one file each, on the views that they share."""

from tbd.distill.harmony import HarmonyDistillation, harmony_distillation_loss
from tbd.distill.pearson import PearsonFeatureDistillation, pearson_feature_loss
from tbd.distill.roi import RoIDistillation, roi_box_loss, roi_classification_loss
from tbd.distill.task_decoupled import (
    TaskDecoupledFeatureDistillation,
    task_decoupled_feature_loss,
)
from tbd.distill.term import DistillationTerm, UnsuitablePairError
from tbd.distill.view import DetectorSpec, HeadSpec, RoISpec, View

__all__ = [
    "DetectorSpec",
    "DistillationTerm",
    "HarmonyDistillation",
    "HeadSpec",
    "PearsonFeatureDistillation",
    "RoIDistillation",
    "RoISpec",
    "TaskDecoupledFeatureDistillation",
    "UnsuitablePairError",
    "View",
    "harmony_distillation_loss",
    "pearson_feature_loss",
    "roi_box_loss",
    "roi_classification_loss",
    "task_decoupled_feature_loss",
]
