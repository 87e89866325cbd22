"""COCO's average precision, computed in C++ where faster-coco-eval is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmdet.evaluation.metrics import CocoMetric, coco_metric
from pycocotools.cocoeval import COCOeval

from tbd.registry import METRICS


@METRICS.register_module()
class FasterCocoMetric(CocoMetric):
    """MMDetection's CocoMetric with the same numbers in a fraction of the time.

    Matching and accumulation are those of faster-coco-eval; what is reported, and how
    it is summarised, is CocoMetric's and pycocotools' own code.

    Args:
        **kwargs: Arguments of :class:`mmdet.evaluation.CocoMetric`.

    Raises:
        ImportError: faster-coco-eval is not installed.
    """

    def __init__(self, **kwargs: Any) -> None:
        _evaluator()
        super().__init__(**kwargs)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Compute the metrics of all images."""
        with _replaced(coco_metric, "COCOeval", _evaluator()):
            values: dict[str, float] = super().compute_metrics(results)
        return values


def _evaluator() -> type:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise ImportError(
            "FasterCocoMetric needs the package faster-coco-eval: pip install faster-coco-eval, or "
            "set the type of the evaluator to CocoMetric, whose numbers are the same."
        ) from error

    class Evaluator(COCOeval_faster):
        """Reads pycocotools' annotations, and summarises as pycocotools does."""

        def __init__(self, coco_gt: Any, coco_dt: Any, iou_type: str) -> None:
            super().__init__(
                COCO(coco_gt.dataset), COCO(coco_dt.dataset), iou_type, print_function=_silent
            )

        # The library's own takes the AP at the largest number of detections, not at 100.
        summarize = COCOeval.summarize

    return Evaluator


def _silent(*args: Any) -> None:
    pass


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)
