"""DETR and its kin as a graph."""

import torch
from mmdet.models.dense_heads import DeformableDETRHead, DETRHead
from mmdet.models.detectors import DDQDETR, DetectionTransformer
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from tbd.engine.deployment.limits import Limits, UnexportableError
from tbd.engine.deployment.postprocessing import clip
from tbd.precision import at_least_float32
from tbd.predictions import QueryReader

_READABLE = (DETRHead.predict_by_feat, DeformableDETRHead.predict_by_feat)


class QueryGraph(nn.Module):
    """Backbone, neck, transformer and the last layer's predictions.

    Images fill the whole input: nothing of it is masked as padding. The decoder's positions are
    those of one image size, so the graph has one.

    Args:
        detector: DETR, Conditional, DAB or Deformable DETR, DINO, in eval mode.

    Raises:
        UnexportableError: if detections depend on more than the last layer's predictions.
        UnsupportedHeadError: if its head cannot be read.
    """

    dynamic = False

    def __init__(self, detector: DetectionTransformer) -> None:
        super().__init__()
        if isinstance(detector, DDQDETR):
            raise UnexportableError(
                "DDQ suppresses queries before its decoder and between the layers, so that their "
                "number changes with the image; no graph of that is written here. DINO, which it "
                "comes from, is exported."
            )
        self._reader = QueryReader(detector)
        if type(detector.bbox_head).predict_by_feat not in _READABLE:
            raise UnexportableError(
                f"{type(detector.bbox_head).__name__} chooses among its queries while it runs; "
                "DETR, Conditional, DAB and Deformable DETR and DINO are exported."
            )
        self.detector = detector
        limit = int(detector.bbox_head.test_cfg.get("max_per_img", self._reader.num_queries))
        self.limits = Limits(0.0, None, limit)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Returns:
            Boxes [N, Q, 4] in pixels of the input, clipped, and scores [N, Q, C].
        """
        height, width = int(images.shape[2]), int(images.shape[3])
        size = dict(img_shape=(height, width), batch_input_shape=(height, width))
        samples = [DetDataSample(metainfo=size) for _ in range(int(images.shape[0]))]
        features = self.detector.extract_feat(images)
        inputs = self.detector.forward_transformer(features, samples)
        outputs = self.detector.bbox_head(*inputs.values())
        queries = self._reader(tuple(inputs.values()), outputs, [(height, width)] * len(samples))
        logits = at_least_float32(queries.cls_logits[-1])
        scores = logits.softmax(dim=-1)[..., :-1] if queries.background else logits.sigmoid()
        return clip(queries.boxes[-1], images), scores


class QueryDetections(nn.Module):
    """The best pairs of a query and a class; of a softmax classifier, of each query the best."""

    def __init__(self, graph: QueryGraph) -> None:
        super().__init__()
        self.graph = graph
        self.limits = graph.limits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect; see :meth:`tbd.engine.deployment.postprocessing.Suppression.forward`."""
        boxes, scores = self.graph(images)
        classes = scores.shape[2]
        if self.graph._reader.background:
            best, labels = scores.max(dim=2)
            best, query = best.topk(self.limits.max_per_img, dim=1)
            labels = labels.gather(1, query)
        else:
            best, pair = scores.flatten(1).topk(self.limits.max_per_img, dim=1)
            query = torch.div(pair, classes, rounding_mode="floor")
            labels = pair - query * classes
        return boxes.gather(1, query.unsqueeze(-1).expand(-1, -1, 4)), best, labels
