"""Which graph a detector becomes."""

from mmdet.models.detectors import DetectionTransformer, TwoStageDetector
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from tbd.engine.deployment.dense_graph import DenseDetections, DenseGraph
from tbd.engine.deployment.image_input import ImageInput
from tbd.engine.deployment.query_graph import QueryDetections, QueryGraph
from tbd.engine.deployment.two_stage_graph import TwoStageDetections, TwoStageGraph

Graph = DenseGraph | TwoStageGraph | QueryGraph
Detections = DenseDetections | TwoStageDetections | QueryDetections


def build_graph(detector: BaseDetector, image: ImageInput | None = None) -> Graph:
    """Make the graph from normalised images to boxes and scores.

    Args:
        detector: A plain detector; it and the graph are put into eval mode.
        image: How images become its input, if it is to pad those of any size.

    Raises:
        UnexportableError: if ONNX cannot hold it; the message says why.
        UnsupportedHeadError: if its head cannot be read.
    """
    graph: Graph
    if isinstance(detector, DetectionTransformer):
        graph = QueryGraph(detector)
    elif isinstance(detector, TwoStageDetector) and detector.with_roi_head:
        graph = TwoStageGraph(detector)
    else:
        graph = DenseGraph(detector)
    if image is not None and not isinstance(graph, QueryGraph):
        graph.pad = image.pad
    return graph.eval()


def build_detections(graph: Graph) -> Detections:
    """Add what chooses the detections, by the thresholds of the detector's ``test_cfg``.

    Raises:
        UnexportableError: if ONNX has no form for how this detector does it.
    """
    detections: Detections
    if isinstance(graph, QueryGraph):
        detections = QueryDetections(graph)
    elif isinstance(graph, TwoStageGraph):
        detections = TwoStageDetections(graph)
    else:
        detections = DenseDetections(graph)
    return detections.eval()


class EndToEnd(nn.Module):
    """From pixels to detections: normalisation and channel order in front.

    Args:
        detections: What follows them.
        image: What the detector expects of an image.
        half: The detector computes in float16.
    """

    def __init__(self, detections: Detections, image: ImageInput, half: bool = False) -> None:
        super().__init__()
        self.detections = detections
        self._image = image
        self._half = half

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect in images [N, H, W, 3] of bytes, blue, green, red as OpenCV reads them."""
        images = self._image.normalize(pixels)
        return self.detections(images.half() if self._half else images)
