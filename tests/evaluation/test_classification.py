import torch

from tbd.evaluation import ClassificationMetric


def test_accuracy_is_the_share_of_right_images_over_all_batches():
    metric = ClassificationMetric()
    for predicted, labels in (([1, 2, 3], [1, 0, 3]), ([4], [4])):
        samples = zip(map(torch.tensor, predicted), map(torch.tensor, labels), strict=True)
        metric.process(None, [dict(predicted_label=p, label=label) for p, label in samples])
    assert metric.evaluate(4) == {"class/accuracy": 0.75}
