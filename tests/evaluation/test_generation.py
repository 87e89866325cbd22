import numpy as np
import pytest
import scipy.linalg
import torch

from tbd.evaluation import GenerationMetric
from tbd.evaluation.generation import entropy_score, frechet_distance
from tbd.generative import ImageClassifier


def features(count, seed, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((5, 5))
    return torch.tensor(scale * rng.standard_normal((count, 5)) @ mixing + shift)


def test_distance_equals_the_formula_with_scipys_matrix_root():
    one, two = features(50, 0), features(80, 1, scale=2.0, shift=1.5)
    a, b = one.numpy(), two.numpy()
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    np.testing.assert_allclose(frechet_distance(one, two), expected, rtol=1e-9)
    np.testing.assert_allclose(frechet_distance(two, one), expected, rtol=1e-9)


def test_distance_of_known_distributions():
    one = features(60, 0)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 2) == pytest.approx(5 * 4)
    trace = np.trace(np.cov(one.numpy().T))
    # Of 3x: the means are 2μ apart, the deviations differ by twice the smaller.
    expected = 4 * float(one.mean(0).square().sum()) + 4 * trace
    assert frechet_distance(one, 3 * one) == pytest.approx(expected)


def test_fewer_features_than_dimensions_are_fine_but_one_is_not():
    assert frechet_distance(features(3, 0), features(3, 1)) > 0
    with pytest.raises(ValueError, match="at least two"):
        frechet_distance(features(1, 0), features(9, 1))
    with pytest.raises(ValueError, match=r"\[4, 5\] and \[4, 2\]"):
        frechet_distance(features(4, 0), features(4, 0)[:, :2])


def test_entropy_score():
    sure = torch.eye(4).repeat(3, 1)
    assert entropy_score(sure, 0.9) == pytest.approx(0.9)
    assert entropy_score(sure[:1].repeat(5, 1), 1.0) == 0
    assert entropy_score(torch.full((7, 4), 0.25), 1.0) == pytest.approx(0)
    # Two of four classes: half of the information.
    assert entropy_score(torch.eye(4)[:2], 1.0) == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 30)
    mean = p.mean(axis=0)
    expected = (p * np.log(p / mean)).sum(axis=1).mean() / np.log(4)
    assert entropy_score(torch.tensor(p), 0.5) == pytest.approx(0.5 * expected)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    classifier = ImageClassifier()
    torch.save({"state_dict": classifier.state_dict()}, tmp_path / "classifier.pth")
    return str(tmp_path / "classifier.pth")


def pictures(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)


def test_the_metric_compares_both_sets_in_the_classifiers_eyes(checkpoint):
    real, fake = pictures(12, 0), pictures(12, 1)
    metric = GenerationMetric(checkpoint)
    for part in (slice(5, 12), slice(0, 5)):
        samples = [dict(img_id=i, label=i % 10, generated=fake[i]) for i in range(12)[part]]
        metric.process({"inputs": list(real[part])}, samples)
    found = metric.evaluate(12)

    classifier = metric.classifier
    with torch.no_grad():
        seen = [classifier.features(images / 127.5 - 1) for images in (real, fake)]
        p = [classifier.head(f).softmax(dim=1) for f in seen]
    accuracy = (p[0].argmax(dim=1) == torch.arange(12) % 10).double().mean().item()
    assert found == pytest.approx(
        {
            "generation/entropy_score": entropy_score(p[1], accuracy),
            "generation/real_entropy_score": entropy_score(p[0], accuracy),
            "generation/frechet_distance": frechet_distance(*seen),
            "generation/real_frechet_distance": frechet_distance(
                seen[0][[0, 2, 4, 6, 8, 10]], seen[0][[1, 3, 5, 7, 9, 11]]
            ),
            "generation/classifier_accuracy": accuracy,
        },
        rel=1e-4,
        abs=1e-6,
    )
    assert found["generation/frechet_distance"] > 0


def test_the_real_images_themselves_are_at_no_distance(checkpoint):
    real = pictures(9, 0)
    metric = GenerationMetric(checkpoint)
    samples = [dict(img_id=i, label=0, generated=real[i]) for i in range(9)]
    metric.process({"inputs": list(real)}, samples)
    assert metric.evaluate(9)["generation/frechet_distance"] == pytest.approx(0, abs=1e-6)


def test_a_missing_classifier_names_the_command_that_trains_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"classifier_ckpt.*tools/train\.py.*classifier_"):
        GenerationMetric(str(tmp_path / "none.pth"))


def test_a_model_that_generates_nothing_is_an_error(checkpoint):
    metric = GenerationMetric(checkpoint)
    with pytest.raises(ValueError, match=r"tbd\.AutoEncodingMetric"):
        metric.process({"inputs": []}, [dict(img_id=0, label=0)])
