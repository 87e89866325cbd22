"""Metrics beside the average precision."""

from tbd.evaluation.harmony import HarmonyMetric

__all__ = ["HarmonyMetric"]
