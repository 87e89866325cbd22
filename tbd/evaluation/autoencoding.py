"""Metric of autoencoders."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

from tbd.evaluation.linear_probe import linear_probe_accuracy
from tbd.registry import METRICS

_PER_IMAGE = {"squared_error": "reconstruction_error", "kl": "kl", "elbo": "elbo"}


@METRICS.register_module()
class AutoEncodingMetric(BaseMetric):
    """Reconstruction error, linear probe on the code, and the lower bound of a variational model.

    Values: ``reconstruction_error``, the summed squared error per image, of pixels in −1…1;
    ``probe_accuracy``, see :func:`~tbd.evaluation.linear_probe.linear_probe_accuracy`; of a
    variational model also ``kl`` and ``elbo`` per image, in nats, see
    :class:`~tbd.generative.VariationalModel`.

    Args:
        folds: Folds of the linear probe's cross-validation.
        collect_device: See MMEngine's metrics.
        prefix: See MMEngine's metrics.
    """

    default_prefix = "code"

    def __init__(
        self, folds: int = 5, collect_device: str = "cpu", prefix: str | None = None
    ) -> None:
        super().__init__(collect_device, prefix)
        self.folds = folds

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep code, label and numbers of each image.

        Raises:
            ValueError: if the model is no autoencoder.
        """
        for sample in data_samples:
            if "code" not in sample:
                raise ValueError(
                    "val_evaluator: tbd.AutoEncodingMetric measures autoencoders, but "
                    "model.type makes no code; use tbd.GenerationMetric."
                )
            numbers = {key: float(sample[key]) for key in _PER_IMAGE if key in sample}
            code = sample["code"].float().cpu()
            self.results.append((sample["img_id"], code, sample["label"], numbers))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Average over the images."""
        # Folds must not depend on the number of processes.
        ids, codes, labels, numbers = zip(*sorted(results, key=lambda r: r[0]), strict=True)
        values = {
            name: sum(number[key] for number in numbers) / len(ids)
            for key, name in _PER_IMAGE.items()
            if key in numbers[0]
        }
        accuracy = linear_probe_accuracy(torch.stack(codes), torch.tensor(labels), self.folds)
        return {**values, "probe_accuracy": accuracy}
