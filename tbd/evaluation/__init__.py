"""Metrics beside the average precision."""

from tbd.evaluation.autoencoding import AutoEncodingMetric
from tbd.evaluation.classification import ClassificationMetric
from tbd.evaluation.faster_coco import FasterCocoMetric
from tbd.evaluation.generation import GenerationMetric
from tbd.evaluation.harmony import HarmonyMetric
from tbd.evaluation.long_tail import LongTailCocoMetric

__all__ = [
    "AutoEncodingMetric",
    "ClassificationMetric",
    "FasterCocoMetric",
    "GenerationMetric",
    "HarmonyMetric",
    "LongTailCocoMetric",
]
