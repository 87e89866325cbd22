"""Each term of the package in a pair of tiny detectors that it suits."""

from typing import Any

import tiny
import torch
from torch import nn
from transformers import transformer

from tbd.distill import term_types
from tbd.registry import MODELS

OPTIONS: dict[str, dict[str, Any]] = {
    # By default its statistics are those of a rank's own images.
    "tbd.PearsonFeatureDistillation": dict(sync_statistics=True),
}


def types() -> list[str]:
    """The terms of the package, not those that other tests register."""
    return [name for name in term_types() if MODELS.get(name).__module__.startswith("tbd.")]


def two_stage(width: int = 4, channels: int = 8) -> dict[str, Any]:
    """With room for every proposal, so that none is drawn by chance."""
    config = tiny.faster_rcnn(width, channels)
    config["train_cfg"]["rcnn"]["sampler"] = dict(
        type="RandomSampler", num=4000, pos_fraction=0.5, neg_pos_ub=-1
    )
    return config


def pair(name: str) -> tuple[Any, Any]:
    reads = MODELS.get(name).reads
    if "queries" in reads:
        return transformer("deformable"), transformer("deformable", width=8)
    if "rois" in reads:
        return two_stage(), two_stage(8, 16)
    if name == "tbd.LocalizationDistillation":
        return tiny.gfl(), tiny.gfl(8, 16)
    return tiny.retinanet(stacked_convs=2), tiny.retinanet(8, 16, stacked_convs=2)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    student, teacher = pair(name)
    trial = getattr(MODELS.get(name), "trial_options", {})
    term = dict(type=name) | trial | OPTIONS.get(name, {})
    model = MODELS.build(tiny.wrapper(student=student, teacher=teacher, distill=dict(term=term)))
    model.init_weights()
    generator = torch.Generator().manual_seed(1)
    for detector in (model.student, model.teacher):
        # Predictions of a fresh head are all alike, and teach next to nothing.
        for key, parameter in detector.named_parameters():
            if "head" in key:
                parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    model.train()
    for module in model.modules():
        # What a rank draws by chance is not what the other does.
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    model.distill.eval()
    return model
