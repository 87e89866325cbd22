"""Metric of classifiers."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from tbd.registry import METRICS


@METRICS.register_module()
class ClassificationMetric(BaseMetric):
    """Share of images whose ``predicted_label`` is their ``label``: ``accuracy``."""

    default_prefix = "class"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Compare."""
        for sample in data_samples:
            self.results.append(sample["predicted_label"] == sample["label"])

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Average."""
        return {"accuracy": sum(results) / len(results)}
