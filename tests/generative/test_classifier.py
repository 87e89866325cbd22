import pytest
import torch
from mmengine.structures import BaseDataElement

from tbd.generative import ImageClassifier


def test_loss_and_prediction_are_those_of_the_logits():
    torch.manual_seed(0)
    model = ImageClassifier(num_classes=4, image_shape=(3, 18, 22), num_features=5).eval()
    images = torch.randn(6, 3, 18, 22)
    samples = [BaseDataElement(label=i % 4) for i in range(6)]
    logits = model(images)
    assert logits.shape == (6, 4)
    assert model.features(images).shape == (6, 5)
    probabilities = logits.softmax(dim=1)
    picked = torch.stack([probabilities[i, i % 4] for i in range(6)])
    loss = model(images, samples, mode="loss")["loss_classification"]
    torch.testing.assert_close(loss, -picked.log().mean())
    predicted = [s.predicted_label for s in model(images, samples, mode="predict")]
    assert predicted == probabilities.argmax(dim=1).tolist()


def test_images_of_another_size_are_an_error():
    with pytest.raises(ValueError, match=r"model\.image_shape=\(1, 28, 28\)"):
        ImageClassifier()(torch.zeros(1, 1, 30, 28))
