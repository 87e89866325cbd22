"""Localization distillation (LD)."""

from typing import Literal

import torch
from torch import Tensor

from tbd.checks import check_choice, check_fraction, check_not_negative, check_positive
from tbd.distill.checks import check_has_effect
from tbd.distill.correspondence import check_correspondence, heads_of
from tbd.distill.object_regions import Overlap, object_regions
from tbd.distill.prediction_losses import bin_distribution_loss, box_overlap_loss
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.predictions import DensePredictions, binary_class_rows, regression_rows
from tbd.registry import MODELS

IMAGES = 2
"""Images of a GPU over which the authors' code sums the loss."""

Form = Literal["auto", "bins", "giou"]
"""How two boxes are compared: by the distributions of their sides, or decoded."""


@MODELS.register_module()
class LocalizationDistillation(DistillationTerm):
    """The student learns how sure the teacher is of each side of a box.

    LD (Zheng et al., CVPR 2022, arXiv 2102.12252). Over the main region, the
    locations that stand for an object, L_LD is the mean over the four sides of
    T²·KL between the distributions of the side's distance (eq. 3 and 4), divided
    by the number of bins as in the authors' code and weighted by the student's
    largest class score; over the valuable
    localization region (VLR, algorithm 1) weighted by the location's IoU with
    the object. Sums over locations are not divided by their number, as in the
    authors' code, but are a mean over images, times the two images that it
    trains on a GPU, so that the weight is the same at any batch size. Which
    locations belong to an object is found by ATSS, as GFL, the paper's
    detector, assigns its positives, whatever assigner the student has.

    Heads that regress deltas or distances have no distributions. For them,
    1 − GIoU of the decoded boxes takes the place of the divergence.

    Args:
        loss_weight: Weight of the main region.
        temperature: The T, positive.
        vlr_weight: Weight of the valuable localization region relative to the
            main region's, not negative; 0 leaves it out.
        vlr_gamma: The γ, in [0, 1]: how far below the threshold of the main
            region the valuable region reaches.
        form: ``"bins"`` compares distributions, ``"giou"`` decoded boxes;
            ``"auto"`` distributions where both heads have as many bins.
        vlr_overlap: ``"iou"`` finds the valuable region by DIoU, as the paper says;
            ``"iof"`` as the authors' code, whose DIoU has the area of the
            location's square in place of the union, so that much of a large
            object lies above the threshold, outside of its region.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"predictions"})

    def __init__(
        self,
        loss_weight: float = 0.25,
        temperature: float = 10.0,
        vlr_weight: float = 0.25,
        vlr_gamma: float = 0.25,
        form: Form = "auto",
        vlr_overlap: Overlap = "iou",
    ) -> None:
        super().__init__(loss_weight)
        check_positive(temperature=temperature)
        check_not_negative(vlr_weight=vlr_weight)
        check_fraction(vlr_gamma=vlr_gamma)
        check_choice(Form, form=form)
        check_choice(Overlap, vlr_overlap=vlr_overlap)
        if form == "giou":
            check_has_effect("with form='giou'", temperature=(temperature, 10.0))
        if not vlr_weight:
            check_has_effect(
                "with vlr_weight=0", vlr_gamma=(vlr_gamma, 0.25), vlr_overlap=(vlr_overlap, "iou")
            )
        self.temperature = temperature
        self.vlr_weight = vlr_weight
        self.vlr_gamma = vlr_gamma
        self.form = form
        self.vlr_overlap: Overlap = vlr_overlap
        self._student: DetectorSpec | None = None

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Settle how boxes are compared, and check that they correspond one to one."""
        head_s, head_t = heads_of(student, teacher)
        has_bins = head_s.bins is not None and head_s.bins == head_t.bins
        if self.form == "bins" and not has_bins:
            raise ValueError(
                f"form='bins' compares distributions over as many bins, but the student's "
                f"{head_s.type} has {head_s.bins or 'none'} and the teacher's {head_t.type} "
                f"{head_t.bins or 'none'}. Set form='giou', which compares decoded boxes, or take "
                "heads of the GFL family with equal reg_max."
            )
        if self.form == "auto":
            self.form = "bins" if has_bins else "giou"
        check_correspondence(student, teacher, same_priors=self.form == "bins")
        self._student = student

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"LocalizationDistillation(loss_weight={self.loss_weight}, "
            f"temperature={self.temperature}, vlr_weight={self.vlr_weight}, "
            f"vlr_gamma={self.vlr_gamma}, form={self.form}, vlr_overlap={self.vlr_overlap})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_ld`` of the main region and, if it has a weight, ``loss_ld_vlr``."""
        predictions_s, predictions_t = student.predictions, teacher.predictions
        assert predictions_s is not None
        assert predictions_t is not None
        assert self._student is not None
        regions = object_regions(student, self._student, self.vlr_gamma, self.vlr_overlap)
        main, valuable = [], []
        for level in range(len(predictions_s.cls_logits)):
            scores = binary_class_rows(predictions_s, level).detach().amax(dim=2).sigmoid()
            per_location = scores.shape[1] // regions.main[level][0].numel()
            # Every anchor of a location belongs to the same region.
            is_main, weight = (
                region[level].flatten(1).repeat_interleave(per_location, dim=1)
                for region in (regions.main, regions.valuable)
            )
            main.append(
                (scores[is_main] * self._loss(predictions_s, predictions_t, level, is_main)).sum()
            )
            if self.vlr_weight:
                chosen = weight > 0
                valuable.append(
                    (weight[chosen] * self._loss(predictions_s, predictions_t, level, chosen)).sum()
                )
        images = normalizer(main[0].new_tensor(float(len(student.gt.boxes))), 1.0)
        factor = self.loss_weight * IMAGES / images
        losses = {"loss_ld": factor * torch.stack(main).sum()}
        if self.vlr_weight:
            losses["loss_ld_vlr"] = factor * self.vlr_weight * torch.stack(valuable).sum()
        return losses

    def _loss(
        self, student: DensePredictions, teacher: DensePredictions, level: int, chosen: Tensor
    ) -> Tensor:
        """Difference of the chosen predictions [N, M], one number each."""
        if self.form == "giou":
            return box_overlap_loss(
                student.boxes[level][chosen], teacher.boxes[level][chosen], "giou"
            )
        sides = [
            regression_rows(side, level)[chosen].unflatten(1, (4, -1)).flatten(0, 1)
            for side in (student, teacher)
        ]
        return bin_distribution_loss(sides[0], sides[1], self.temperature).view(-1, 4).mean(dim=1)
