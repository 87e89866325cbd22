"""Where a detector sees objects: the largest class score at each location."""

from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from tbd.distill.view import View
from tbd.harmony import Confidence, classification_probability


def score_maps(view: View, confidence: Confidence = "class") -> list[Tensor]:
    """Largest class score of any prediction at each location, made once per step.

    The sigmoid of a class logit, or with a softmax classifier the probability
    of a foreground class.

    Args:
        view: A view with predictions.
        confidence: ``"class"``, the score of the class alone, or ``"ranking"``, that which ranks
            predictions at NMS, where a centerness, IoU or objectness branch takes part.

    Returns:
        For each pyramid level [N, H, W] in [0, 1], constants, brought to the
        sizes that the view asks for.
    """
    predictions = view.predictions
    assert predictions is not None

    def make() -> list[Tensor]:
        maps = [
            classification_probability(
                logits.detach(),
                predictions.num_classes,
                "sigmoid",
                background=predictions.background,
            ).amax(dim=1)
            for logits in (
                predictions.ranking_logits if confidence == "ranking" else predictions.cls_logits
            )
        ]
        if view.resized_to is not None:
            maps = [
                adaptive_max_pool2d(level, size)
                for level, size in zip(maps, view.resized_to, strict=True)
            ]
        return maps

    return view.cached(("score_maps", confidence), make)
