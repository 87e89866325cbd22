import pytest
import torch
from mmengine.structures import BaseDataElement

from tbd.evaluation import AutoEncodingMetric, ClassificationMetric
from tbd.generative import VariationalAutoEncoder


def predictions(count=20):
    torch.manual_seed(0)
    model = VariationalAutoEncoder(image_shape=(1, 4, 4), hidden_sizes=(8,), code_size=2).eval()
    images = torch.rand(count, 1, 4, 4)
    samples = [BaseDataElement(metainfo=dict(img_id=i), label=i % 2) for i in range(count)]
    with torch.no_grad():
        return images, model, model(images, samples, mode="predict")


def evaluate(metric, outputs):
    metric.process({}, [output.to_dict() for output in outputs])
    return metric.evaluate(len(outputs))


def test_values_are_means_over_the_images_in_any_order():
    images, model, outputs = predictions()
    found = evaluate(AutoEncodingMetric(), outputs)
    with torch.no_grad():
        error = (model(images) - images).square().sum() / len(images)
    assert found["code/reconstruction_error"] == pytest.approx(error.item(), rel=1e-5)
    mean = torch.stack([output.elbo for output in outputs]).mean().item()
    assert found["code/elbo"] == pytest.approx(mean, rel=1e-5)
    assert 0 <= found["code/probe_accuracy"] <= 1
    assert evaluate(AutoEncodingMetric(), outputs[::-1]) == pytest.approx(found)


def test_only_a_variational_model_has_a_bound():
    _, _, outputs = predictions()
    for output in outputs:
        del output.kl, output.elbo
    found = evaluate(AutoEncodingMetric(), outputs)
    assert set(found) == {"code/reconstruction_error", "code/probe_accuracy"}


def test_another_model_is_an_error():
    with pytest.raises(ValueError, match=r"val_evaluator.*tbd\.GenerationMetric"):
        AutoEncodingMetric().process({}, [dict(img_id=0, label=0)])


def test_accuracy():
    samples = [dict(label=label, predicted_label=1) for label in (0, 1, 1, 2)]
    metric = ClassificationMetric()
    metric.process({}, samples)
    assert metric.evaluate(4) == {"class/accuracy": 0.5}
