"""Distillations of a tiny pair whose teacher, or student, is executed in one way or another."""

import copy
from typing import Any

import tiny
import torch
from torch import nn
from transformers import transformer

from tbd.registry import MODELS

TERMS = {
    "tbd": tiny.wrapper()["distill"],
    "crosskd": dict(kd=dict(type="tbd.CrossHeadDistillation")),
    "crosskd aligned": dict(kd=dict(type="tbd.CrossHeadDistillation", align_statistics=True)),
    "pkd": dict(pkd=dict(type="tbd.PearsonFeatureDistillation")),
    "fgd": dict(fgd=dict(type="tbd.FocalGlobalDistillation")),
    "rois": dict(roi=dict(type="tbd.RoIDistillation")),
    "queries": dict(queries=dict(type="tbd.QueryDistillation")),
}


def with_batch_norms(config: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(config)
    backbone = tiny.backbone(config["backbone"]["base_channels"])
    indices = config["backbone"]["out_indices"]
    config["backbone"] = backbone | dict(norm_cfg=dict(type="BN"), out_indices=indices)
    return config


def pair(name: str) -> tuple[Any, Any]:
    if name == "rois":
        return tiny.faster_rcnn(), with_batch_norms(tiny.faster_rcnn(8, 16))
    if name == "queries":
        return transformer("deformable"), with_batch_norms(transformer("deformable", width=8))
    student, teacher = tiny.retinanet(stacked_convs=2), tiny.retinanet(8, 16, stacked_convs=2)
    return student, with_batch_norms(teacher)


def trained(detector: nn.Module) -> None:
    """Weights and statistics as no initialisation leaves them."""
    generator = torch.Generator().manual_seed(1)
    for key, tensor in detector.state_dict().items():
        if "running_var" in key:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
        elif tensor.is_floating_point() and "head" in key:
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))


def build(name: str = "tbd", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    student, teacher = pair(name)
    config = dict(student=student, teacher=teacher, distill=TERMS[name]) | options
    model = MODELS.build(tiny.wrapper(**config))
    model.init_weights()
    trained(model.teacher)
    trained(model.student)
    return model.train()


def losses(model: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    found = model(**tiny.batch(model), mode="loss")
    return {key: value for key, value in found.items() if "loss" in key and "." in key}


def assert_equal_losses(model: nn.Module, expected: nn.Module, tolerance: float = 1e-5) -> None:
    exact = losses(expected)
    assert exact
    # The first step prepares the teacher, the second runs it as it is prepared.
    for _ in range(2):
        for key, value in losses(model).items():
            torch.testing.assert_close(
                value,
                exact[key],
                rtol=tolerance,
                atol=tolerance,
                msg=f"{key}: {value} {exact[key]}",
            )


def norms(detector: nn.Module) -> list[str]:
    return [name for name, part in detector.named_modules() if isinstance(part, nn.BatchNorm2d)]
