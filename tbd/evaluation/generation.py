"""How much generated images look like real ones, in the eyes of a classifier."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from tbd.compat import load_checkpoint
from tbd.registry import METRICS, MODELS


def frechet_distance(one: Tensor, two: Tensor) -> float:
    """Fréchet distance of normal distributions fitted to two sets of features.

    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), Heusel et al. (arXiv 1706.08500), with sample
    covariances. Sets of different sizes are not comparable: fewer features give a larger distance.

    Args:
        one: Features [M, D], M ≥ 2.
        two: Features [N, D], N ≥ 2.

    Returns:
        The squared distance, not negative.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if one.dim() != 2 or two.dim() != 2 or one.shape[1] != two.shape[1]:
        raise ValueError(
            f"features {list(one.shape)} and {list(two.shape)} must be [M, D], [N, D]."
        )
    if min(len(one), len(two)) < 2:
        raise ValueError("a covariance needs at least two features of each set.")
    one, two = one.double(), two.double()
    cov_one, cov_two = _covariance(one), _covariance(two)
    # Σ₁ Σ₂ has the eigenvalues of the symmetric Σ₁^½ Σ₂ Σ₁^½.
    root = _square_root(cov_one)
    values = torch.linalg.eigvalsh(root @ cov_two @ root).clamp(min=0)
    distance = (one.mean(dim=0) - two.mean(dim=0)).square().sum()
    distance = distance + cov_one.trace() + cov_two.trace() - 2 * values.sqrt().sum()
    return max(float(distance), 0.0)


def entropy_score(probabilities: Tensor, accuracy: float) -> float:
    """How clearly images belong to a class, and how evenly to all, weighted by accuracy.

    accuracy · (H(mean p) − mean H(p)) / log K: the information, in units of its maximum log K, that
    an image gives about the class that a classifier sees in it (the logarithm of the score of
    Salimans et al., arXiv 1606.03498, so normalised), times the share of real images that the
    classifier gets right. A classifier that errs can be sure of anything.

    Args:
        probabilities: Of the K classes for each image, [M, K].
        accuracy: Of the classifier on real images, in [0, 1].

    Returns:
        Between 0 (all images alike, or nothing to see in any) and ``accuracy``.
    """
    probabilities = probabilities.double()
    information = _entropy(probabilities.mean(dim=0)) - _entropy(probabilities).mean()
    return accuracy * float(information) / math.log(probabilities.shape[1])


@METRICS.register_module()
class GenerationMetric(BaseMetric):
    """Generated images against the real ones of the validation set, seen by a classifier.

    Values: ``entropy_score``, see :func:`entropy_score`, and ``real_entropy_score``, that of the
    real images, to compare it with; ``frechet_distance``, see :func:`frechet_distance`, of the
    classifier's features, and ``real_frechet_distance``, that of the real images with an even
    place in the set from those with an odd one. It is what the finite number of images alone
    makes, and rather too large for the other, whose sets are twice as large;
    ``classifier_accuracy`` on the real images. With fewer than four images there is no
    ``real_frechet_distance``.

    Args:
        classifier_ckpt: Checkpoint of the classifier.
        classifier: Its config; default :class:`~tbd.generative.ImageClassifier`.
        collect_device: See MMEngine's metrics.
        prefix: See MMEngine's metrics.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
    """

    default_prefix = "generation"

    def __init__(
        self,
        classifier_ckpt: str,
        classifier: dict[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        if not Path(classifier_ckpt).is_file():
            raise FileNotFoundError(
                f"val_evaluator.classifier_ckpt={classifier_ckpt!r}: there is no file "
                f"{Path(classifier_ckpt).absolute()}. Train the classifier that judges the images "
                "first: python tools/train.py configs/generative/classifier_mnist.py, or "
                "classifier_digits.py"
            )
        self.classifier = MODELS.build({"type": "tbd.ImageClassifier", **(classifier or {})})
        self.classifier.load_state_dict(load_checkpoint(classifier_ckpt)["state_dict"])
        self.classifier.eval().requires_grad_(False)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Let the classifier see the batch's real images and the generated ones.

        Raises:
            ValueError: if the model generates nothing.
        """
        if any("generated" not in sample for sample in data_samples):
            raise ValueError(
                "val_evaluator: tbd.GenerationMetric measures generated images, but model.type "
                "makes none; use tbd.AutoEncodingMetric."
            )
        real = self._look(list(data_batch["inputs"]))
        fake = self._look([sample["generated"].cpu() for sample in data_samples])
        for index, sample in enumerate(data_samples):
            views = (seen[index] for seen in (*real, *fake))
            self.results.append((sample["img_id"], sample["label"], *views))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Compare the two sets."""
        _, labels, *views = zip(*sorted(results, key=lambda r: r[0]), strict=True)
        real_features, real, fake_features, fake = (torch.stack(view) for view in views)
        accuracy = float((real.argmax(dim=1) == torch.tensor(labels)).double().mean())
        values = {
            "entropy_score": entropy_score(fake, accuracy),
            "real_entropy_score": entropy_score(real, accuracy),
            "frechet_distance": frechet_distance(real_features, fake_features),
            "classifier_accuracy": accuracy,
        }
        even, odd = real_features[::2], real_features[1::2]
        if len(odd) > 1:
            values["real_frechet_distance"] = frechet_distance(even, odd)
        return values

    @torch.no_grad()
    def _look(self, images: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Features and class probabilities of images [C, H, W], uint8."""
        inputs = self.classifier.data_preprocessor({"inputs": images})["inputs"]
        self.classifier.check_images(inputs)
        features = self.classifier.features(inputs)
        return features, self.classifier.head(features).softmax(dim=1)


def _covariance(features: Tensor) -> Tensor:
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _entropy(probabilities: Tensor) -> Tensor:
    return -torch.special.xlogy(probabilities, probabilities).sum(dim=-1)
