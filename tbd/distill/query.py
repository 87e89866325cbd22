"""Distillation of what decoders of queries predict (DETRDistill)."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps, bbox_xyxy_to_cxcywh
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize

from tbd.checks import check_not_negative, check_same_shape
from tbd.distill.checks import check_has_effect
from tbd.distill.correspondence import check_class_counts
from tbd.distill.prediction_losses import box_overlap_loss
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec, QuerySpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.modules import AdaptationKind, build_adaptation
from tbd.precision import at_least_float32
from tbd.predictions import QueryPredictions, binary_logits
from tbd.registry import MODELS

EPS = 1e-6
WORST = 1e6
"""Cost of a pair that has none, as where a prediction is NaN."""
BEST_PAIRS = 100
"""How many pairs of a query and a class the authors' code looks for features with."""
LEAST_MASK = 0.01
"""What that code raises the mask of features to, before it is divided by its largest value."""

Matching = Literal["split", "joint"]
"""Whether the teacher's positives and negatives are matched apart or together."""

FeatureMask = Literal["last_layer", "every_layer"]
"""Whose queries say where to look: of the last decoder layer, or of each by itself."""


class Weights(NamedTuple):
    """Weights of class, L1 distance and generalized IoU in a cost."""

    cls: float
    l1: float
    giou: float


def target_aware_feature_loss(
    feat_s: Tensor, feat_t: Tensor, queries: Tensor, quality: Tensor, least: float = 0.0
) -> Tensor:
    """Feature difference of one level where the teacher's good queries look.

    mean((ψ·(feat_t − feat_s))²), ψ = Σ_i q_i·cos(query_i, feat_t), at least
    ``least`` and divided by its largest value in the image; Chang et al.,
    "DETRDistill" (arXiv 2211.10156), target-aware feature distillation. The
    cosine in place of the plain product, and the division, keep ψ in [0, 1];
    both are in the authors' code too.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        queries: Teacher's queries after a decoder layer [N, Q, C]; a constant.
        quality: The q, how well each query finds an object [N, Q]; a constant.
        least: The least ψ before the division, not negative.

    Returns:
        A scalar; 0 where all queries are of no quality.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_same_shape(feat_s=feat_s, feat_t=feat_t)
    if queries.shape[2] != feat_t.shape[1] or quality.shape != queries.shape[:2]:
        raise ValueError(
            f"queries {list(queries.shape)} must be [N, Q, {feat_t.shape[1]}] as the features "
            f"{list(feat_t.shape)} are, and quality {list(quality.shape)} be [N, Q]."
        )
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t).detach()
    queries, quality = at_least_float32(queries), at_least_float32(quality)
    alike = torch.einsum(
        "nqc,nchw->nqhw", normalize(queries.detach(), dim=2), normalize(feat_t, dim=1)
    )
    mask = torch.einsum("nqhw,nq->nhw", alike, quality.detach()).clamp(min=least)
    mask = mask / mask.amax(dim=(1, 2), keepdim=True).clamp(min=EPS)
    return (mask[:, None] * (feat_t - feat_s)).square().mean()


@MODELS.register_module()
class QueryDistillation(DistillationTerm):
    """The student's queries predict what the teacher's do, layer by layer.

    DETRDistill (Chang et al., ICCV 2023, arXiv 2211.10156), for DETR, Deformable,
    Conditional and DAB DETR, and DINO. In each decoder layer, those of the
    teacher's queries that Hungarian matching gives to the ground truth are its
    positives, the others its negatives. Either are matched to the student's
    queries, positives at the cost class + L1 + GIoU, negatives, which are all
    background, at the cost of the boxes alone. The loss of a matched pair is
    its cost, and is divided by the number of pairs (at least 1): the divergence
    of the class probabilities (over softmax classes; else of each class against
    all else, summed), the L1 distance of centre and size in parts of the image,
    and 1 − GIoU. Layers are summed; where the decoders have different numbers
    of layers, each of the student's learns from the teacher's at the same part
    of its depth. Queries for denoising take no part.

    The feature part is :func:`target_aware_feature_loss` on the neck's output,
    with q = √(class probability · IoU) of the object that a query finds best.

    The authors' code is another form of both: ``matching="joint"`` matches all
    queries of the teacher at once, at the cost of class and boxes, its boxes
    cut off at the edges of the image; ``feature_mask="every_layer"`` has a mask
    from each decoder layer and adds their losses, with q = class probability ·
    IoU of the best 100 pairs of a query and a class (of any object; in an image
    without one, the probability alone), and a mask of at least 0.01. Its loss of
    classes is the cross-entropy, which is more than the divergence by the
    teacher's entropy and has the same gradient.

    The paper's third part, the teacher's queries as a further input of the
    student's decoder, is left out: a term does not run the student again.

    Args:
        loss_weight: Factor on all losses.
        cls_weight: Weight of the class in cost and loss, not negative.
        l1_weight: Weight of the L1 distance, likewise.
        giou_weight: Weight of the generalized IoU, likewise.
        negative_weight: Further weight of the loss of negatives, not negative;
            0 saves their matching, whose time grows with the cube of the queries.
            With ``matching="joint"`` there are none, and it has no effect.
        feature_weight: Weight of the feature part, not negative; 0 leaves it
            out, and with it the need to pair pyramid levels. Its 1 is ours; the
            weights of class, L1 and GIoU are those of the authors' code.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        matching: ``"split"`` or ``"joint"``, see above.
        feature_mask: ``"last_layer"`` or ``"every_layer"``, see above.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"queries", "features"})
    compares_classes = True

    def __init__(
        self,
        loss_weight: float = 1.0,
        cls_weight: float = 1.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        negative_weight: float = 1.0,
        feature_weight: float = 1.0,
        adaptation: AdaptationKind = "auto",
        matching: Matching = "split",
        feature_mask: FeatureMask = "last_layer",
    ) -> None:
        super().__init__(loss_weight)
        check_not_negative(
            cls_weight=cls_weight,
            l1_weight=l1_weight,
            giou_weight=giou_weight,
            negative_weight=negative_weight,
            feature_weight=feature_weight,
        )
        if not feature_weight:
            check_has_effect(
                "with feature_weight=0",
                adaptation=(adaptation, "auto"),
                feature_mask=(feature_mask, "last_layer"),
            )
        self.weights = Weights(cls_weight, l1_weight, giou_weight)
        self.negative_weight = negative_weight
        self.feature_weight = feature_weight
        self.adaptation = adaptation
        self.matching = matching
        self.feature_mask = feature_mask
        self.adaptations = nn.ModuleList()
        if not feature_weight:
            self.reads = frozenset({"queries"})

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Check classes and widths, and create the adaptation layers."""
        queries_s, queries_t = _queries_of(student), _queries_of(teacher)
        check_class_counts(
            queries_s.type, queries_s.num_classes, queries_t.type, queries_t.num_classes
        )
        if not self.feature_weight:
            return
        if set(teacher.channels) != {queries_t.channels}:
            raise ValueError(
                f"the teacher's {queries_t.type} has queries of {queries_t.channels} numbers, but "
                f"the features of its {teacher.neck} have {list(teacher.channels)} channels, so "
                "queries cannot say where to look. Set feature_weight=0 and add a term on features."
            )
        self.adaptations = nn.ModuleList(
            build_adaptation(self.adaptation, channels_s, channels_t)
            for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True)
        )

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"QueryDistillation(loss_weight={self.loss_weight}, cls_weight={self.weights.cls}, "
            f"l1_weight={self.weights.l1}, giou_weight={self.weights.giou}, "
            f"negative_weight={self.negative_weight}, feature_weight={self.feature_weight}, "
            f"adaptation={self.adaptation}, matching={self.matching}, "
            f"feature_mask={self.feature_mask})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return the losses of positives, of negatives and, where wanted, of features.

        That is, ``loss_cls``, ``loss_l1``, ``loss_giou``, ``loss_negative`` and
        ``loss_feature``; with ``matching="joint"`` the first three are those of
        all queries.
        """
        losses = self._query_losses(student, teacher)
        if self.feature_weight:
            looks = self._looks(teacher)
            features = [
                target_aware_feature_loss(adapt(at_least_float32(feat_s)), feat_t, *look)
                for adapt, feat_s, feat_t in zip(
                    self.adaptations, student.features, teacher.features, strict=True
                )
                for look in looks
            ]
            losses["loss_feature"] = (
                self.loss_weight * self.feature_weight * torch.stack(features).sum()
            )
        return losses

    def _query_losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        """The losses of matched queries, layer by layer and image by image."""
        queries_s, queries_t = student.queries, teacher.queries
        assert queries_s is not None
        assert queries_t is not None
        softmax = queries_s.background and queries_t.background
        joint = self.matching == "joint"
        rows_s = _rows_of(queries_s, softmax)
        rows_t = _rows_of(queries_t, softmax, inside=joint)
        boxes_only = self.weights._replace(cls=0.0)
        # The losses of the pairs of a layer and an image.
        positive, negative = [], []
        for layer, images_s in enumerate(rows_s):
            layer_t = math.ceil((layer + 1) * len(rows_t) / len(rows_s)) - 1
            for image, (row_s, row_t) in enumerate(zip(images_s, rows_t[layer_t], strict=True)):
                if joint:
                    positive.append(self._pair_losses(row_s, row_t, self.weights))
                    continue
                is_positive = self._positives(queries_t, layer_t, image, teacher)
                taught = row_t.select(is_positive)
                positive.append(self._pair_losses(row_s, taught, self.weights))
                if self.negative_weight:
                    rest = row_t.select(~is_positive)
                    negative.append(self._pair_losses(row_s, rest, boxes_only))
        total, pairs = _sum_and_count(positive, len(rows_s))
        cls, l1, giou = self.loss_weight * total.sum(dim=0) / pairs
        losses = {"loss_cls": cls, "loss_l1": l1, "loss_giou": giou}
        if negative:
            total, pairs = _sum_and_count(negative, len(rows_s))
            losses["loss_negative"] = (
                self.loss_weight * self.negative_weight * (total.sum() / pairs)
            )
        return losses

    def _looks(self, teacher: View) -> list[tuple[Tensor, Tensor, float]]:
        """Where features are compared: queries, their quality and the least mask, for each mask."""
        assert teacher.queries is not None
        if self.feature_mask == "last_layer":
            return [(teacher.queries.hidden[-1], _quality(teacher), 0.0)]
        return [
            (*_best_queries(teacher, layer), LEAST_MASK)
            for layer in range(len(teacher.queries.hidden))
        ]

    @torch.no_grad()
    def _positives(self, queries: QueryPredictions, layer: int, image: int, view: View) -> Tensor:
        """Which of the teacher's queries of a layer the ground truth is matched to [Q]."""
        probability = _probability(queries)[layer, image]
        is_positive = probability.new_zeros(len(probability), dtype=torch.bool)
        gt_boxes = view.gt.boxes[image]
        if len(gt_boxes) == 0:
            return is_positive
        height, width = view.gt.image_sizes[image]
        scale = gt_boxes.new_tensor([width, height, width, height])
        gt = gt_boxes / scale
        centers_and_sizes = torch.cat([(gt[:, :2] + gt[:, 2:]) / 2, gt[:, 2:] - gt[:, :2]], dim=1)
        boxes = at_least_float32(queries.centers_and_sizes[layer, image])
        cost = _box_cost(centers_and_sizes.to(boxes.dtype), boxes, self.weights)
        cost = cost - self.weights.cls * probability[:, view.gt.labels[image]].t()
        is_positive[_match(cost)[1]] = True
        return is_positive

    @staticmethod
    def _pair_losses(student: "_Rows", teacher: "_Rows", weights: Weights) -> Tensor:
        """Weighted class, L1 and GIoU loss of each of the matched pairs [pairs, 3]."""
        with torch.no_grad():
            cost = _box_cost(teacher.boxes, student.boxes, weights)
            if weights.cls:
                cost = cost + weights.cls * _pairwise_divergence(teacher, student)
        of_teacher, of_student = _match(cost)
        teacher, student = teacher.select(of_teacher), student.select(of_student)
        l1 = (student.boxes - teacher.boxes).abs().sum(dim=1)
        giou = box_overlap_loss(
            bbox_cxcywh_to_xyxy(student.boxes), bbox_cxcywh_to_xyxy(teacher.boxes), "giou"
        )
        cls = _divergence(teacher, student) if weights.cls else torch.zeros_like(l1)
        return torch.stack([weights.cls * cls, weights.l1 * l1, weights.giou * giou], dim=1)


class _Rows(NamedTuple):
    """Class logits [Q, C] and boxes [Q, 4] of the queries of a layer of an image."""

    logits: Tensor
    boxes: Tensor
    softmax: bool

    def select(self, chosen: Tensor) -> "_Rows":
        return _Rows(self.logits[chosen], self.boxes[chosen], self.softmax)

    def log_probabilities(self) -> tuple[Tensor, ...]:
        """Logarithms of the probabilities of all outcomes [Q, C], one tensor or two."""
        if self.softmax:
            return (self.logits.log_softmax(dim=1),)
        return logsigmoid(self.logits), logsigmoid(-self.logits)


def _rows_of(queries: QueryPredictions, softmax: bool, inside: bool = False) -> list[list[_Rows]]:
    """Rows of each layer and image, with boxes cut off at the edges of the image if asked for."""
    logits = at_least_float32(queries.cls_logits)
    if queries.background and not softmax:
        logits = binary_logits(logits)
    boxes = at_least_float32(queries.centers_and_sizes)
    if inside:
        boxes = bbox_xyxy_to_cxcywh(bbox_cxcywh_to_xyxy(boxes).clamp(min=0, max=1))
    return [
        [_Rows(*of_image, softmax) for of_image in zip(*of_layer, strict=True)]
        for of_layer in zip(logits, boxes, strict=True)
    ]


def _sum_and_count(found: Sequence[Tensor], layers: int) -> tuple[Tensor, Tensor]:
    """Losses of pairs summed over each layer and image [L·N, 3], and the number of pairs.

    Layers are summed, so the number is that of pairs per layer: its mean over the ranks, at
    least 1.
    """
    count = found[0].new_tensor(sum(map(len, found)) / layers)
    return torch.stack([losses.sum(dim=0) for losses in found]), normalizer(count, 1.0)


def _divergence(teacher: _Rows, student: _Rows) -> Tensor:
    """KL of the student's classes from the teacher's, row by row [Q]."""
    return sum(  # type: ignore[return-value]
        (log_t.detach().exp() * (log_t.detach() - log_s)).sum(dim=1)
        for log_t, log_s in zip(
            teacher.log_probabilities(), student.log_probabilities(), strict=True
        )
    )


def _pairwise_divergence(teacher: _Rows, student: _Rows) -> Tensor:
    """KL of the student's classes from the teacher's, of all pairs [Q_t, Q_s]."""
    return sum(  # type: ignore[return-value]
        (log_t.exp() * log_t).sum(dim=1, keepdim=True) - log_t.exp() @ log_s.t()
        for log_t, log_s in zip(
            teacher.log_probabilities(), student.log_probabilities(), strict=True
        )
    )


def _box_cost(first: Tensor, second: Tensor, weights: Weights) -> Tensor:
    """Cost of all pairs of boxes [A, B], given as centres and sizes in parts of the image."""
    corners = bbox_cxcywh_to_xyxy(first), bbox_cxcywh_to_xyxy(second)
    giou = bbox_overlaps(*corners, mode="giou", eps=EPS)
    return weights.l1 * torch.cdist(first, second, p=1) + weights.giou * (1 - giou)


def _match(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of rows and columns of the least total cost."""
    finite = cost.detach().nan_to_num(nan=WORST, posinf=WORST, neginf=-WORST)
    rows, columns = linear_sum_assignment(finite.cpu().numpy())
    return torch.from_numpy(rows).to(cost.device), torch.from_numpy(columns).to(cost.device)


def _probability(queries: QueryPredictions) -> Tensor:
    """Probabilities of the foreground classes [L, N, Q, C]."""
    logits = at_least_float32(queries.cls_logits)
    return logits.softmax(dim=-1)[..., :-1] if queries.background else logits.sigmoid()


@torch.no_grad()
def _quality(view: View) -> Tensor:
    """How well each query of the last layer finds an object, √(probability · IoU) [N, Q]."""
    assert view.queries is not None
    probability, boxes = _probability(view.queries)[-1], view.queries.boxes[-1]
    qualities = []
    for image, gt_boxes in enumerate(view.gt.boxes):
        if len(gt_boxes) == 0:
            qualities.append(boxes.new_zeros(boxes.shape[1]))
            continue
        iou = bbox_overlaps(boxes[image], gt_boxes.to(boxes.dtype))
        of_class = probability[image][:, view.gt.labels[image]]
        qualities.append((iou * of_class).sqrt().amax(dim=1))
    return torch.stack(qualities)


@torch.no_grad()
def _best_queries(view: View, layer: int) -> tuple[Tensor, Tensor]:
    """The queries of the best pairs of query and class in a layer [N, K, C], and their q [N, K]."""
    assert view.queries is not None
    probability = _probability(view.queries)[layer]
    hidden = view.queries.hidden[layer]
    best = probability.flatten(1).topk(min(BEST_PAIRS, probability[0].numel()), dim=1)
    query = best.indices // probability.shape[2]
    quality = best.values
    for image, gt_boxes in enumerate(view.gt.boxes):
        if len(gt_boxes):
            boxes = view.queries.boxes[layer, image, query[image]]
            iou = bbox_overlaps(boxes, gt_boxes.to(boxes.dtype)).amax(dim=1)
            quality[image] = quality[image] * iou
    return hidden.gather(1, query[..., None].expand(-1, -1, hidden.shape[2])), quality


def _queries_of(spec: DetectorSpec) -> QuerySpec:
    assert spec.queries is not None
    return spec.queries
