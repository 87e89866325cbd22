"""Metrics beside the average precision."""

from tbd.evaluation.harmony import HarmonyMetric
from tbd.evaluation.long_tail import LongTailCocoMetric

__all__ = ["HarmonyMetric", "LongTailCocoMetric"]
