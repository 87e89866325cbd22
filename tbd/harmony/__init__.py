"""Harmony of classification and localization: pure functions and the head that applies them."""

from tbd.harmony.functional import (
    Confidence,
    Norm,
    check_confidence,
    classification_probability,
    harmony_score,
    harmony_weight,
    localization_probability,
)
from tbd.harmony.head import HarmonyMaps, HarmonyScoreHead

__all__ = [
    "Confidence",
    "HarmonyMaps",
    "HarmonyScoreHead",
    "Norm",
    "check_confidence",
    "classification_probability",
    "harmony_score",
    "harmony_weight",
    "localization_probability",
]
