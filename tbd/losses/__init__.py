"""Losses that detectors share, registered under the scope ``tbd``."""

from tbd.losses.binary_focal import BinaryFocalLoss, binary_focal_loss
from tbd.losses.class_balance import class_balanced_weights
from tbd.losses.combined import BCEDiceLoss, ComboLoss, bce_dice_loss, combo_loss
from tbd.losses.imbalance import (
    influence_balanced_focal_loss,
    influence_balanced_loss,
    softmax_focal_loss,
)
from tbd.losses.influence_balanced import InfluenceBalancedFocalLoss, InfluenceBalancedLoss
from tbd.losses.iou import binary_iou, multiclass_iou
from tbd.losses.lovasz import (
    LovaszHingeLoss,
    LovaszSoftmaxLoss,
    lovasz_hinge_loss,
    lovasz_softmax_loss,
)
from tbd.losses.overlap import (
    DiceLoss,
    FocalTverskyLoss,
    JaccardLoss,
    TverskyLoss,
    dice_loss,
    focal_tversky_loss,
    jaccard_loss,
    tversky_loss,
)
from tbd.losses.softmax_focal import SoftmaxFocalLoss
from tbd.losses.two_phase import TwoPhaseLoss

__all__ = [
    "BCEDiceLoss",
    "BinaryFocalLoss",
    "ComboLoss",
    "DiceLoss",
    "FocalTverskyLoss",
    "InfluenceBalancedFocalLoss",
    "InfluenceBalancedLoss",
    "JaccardLoss",
    "LovaszHingeLoss",
    "LovaszSoftmaxLoss",
    "SoftmaxFocalLoss",
    "TverskyLoss",
    "TwoPhaseLoss",
    "bce_dice_loss",
    "binary_focal_loss",
    "binary_iou",
    "class_balanced_weights",
    "combo_loss",
    "dice_loss",
    "focal_tversky_loss",
    "influence_balanced_focal_loss",
    "influence_balanced_loss",
    "jaccard_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "multiclass_iou",
    "softmax_focal_loss",
    "tversky_loss",
]
