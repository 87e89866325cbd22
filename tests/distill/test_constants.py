"""What the documentation of a loss calls a constant must not be reached by its gradient."""

import importlib
import inspect
import pkgutil
import re

import pytest
import torch

import tbd.distill

SHAPES = {
    **dict.fromkeys(("feat_s", "feat_t", "factor_s", "factor_t", "mean"), (2, 3, 4, 5)),
    **dict.fromkeys(("generated", "score_s", "score_t"), (2, 3, 4, 5)),
    **dict.fromkeys(("mask", "score", "cls_mask", "loc_mask"), (2, 4, 5)),
    **dict.fromkeys(("foreground", "background"), (2, 4, 5)),
    **dict.fromkeys(("logits", "logits_s", "logits_t", "target"), (6, 4)),
    **dict.fromkeys(("boxes_s", "boxes_t"), (6, 4)),
    "variance": (3,),
    "task_weights": (2, 2),
    "queries": (2, 6, 3),
    "quality": (2, 6),
}
OTHER_SHAPES = {
    "cosine_feature_loss": {"weight": (2, 4, 5)},
    "harmony_distillation_loss": {"weight": (2, 3, 4, 5)},
    "roi_box_loss": {"weight": (6,)},
    "richness_classification_loss": dict.fromkeys(("logits_s", "logits_t"), (2, 3, 4, 5)),
}
SETTINGS = dict(temperature=2.0, beta=1.0, p=2, mode="giou")


def losses():
    """Public functions with arguments of which their docstring says that they are constants."""
    for module in pkgutil.iter_modules(tbd.distill.__path__, "tbd.distill."):
        for name, function in vars(importlib.import_module(module.name)).items():
            if inspect.isfunction(function) and function.__module__ == module.name:
                constants = constants_of(function)
                if constants and not name.startswith("_"):
                    yield pytest.param(function, constants, id=name)


def constants_of(function):
    entries = re.findall(r"^ {4,8}(\w+): ((?:.*\n)(?:^ {12}.*\n)*)", function.__doc__ or "", re.M)
    return {name for name, text in entries if "a constant" in text}


def arguments(function):
    generator = torch.Generator().manual_seed(0)
    shapes = SHAPES | OTHER_SHAPES.get(function.__name__, {})
    for name, parameter in inspect.signature(function).parameters.items():
        if name in SETTINGS:
            yield name, SETTINGS[name]
        elif name in shapes:
            value = torch.rand(shapes[name], generator=generator, dtype=torch.float64)
            if name.startswith("boxes"):
                value = torch.cat([value[:, :2], value[:, :2] + 1 + value[:, 2:]], dim=1)
            yield name, value.requires_grad_()
        else:
            assert parameter.default is not parameter.empty, f"no value for {name}"


@pytest.mark.parametrize(("function", "constants"), losses())
def test_no_gradient_reaches_a_constant(function, constants):
    given = dict(arguments(function))
    result = function(**given)
    result = result if isinstance(result, tuple) else (result,)
    tensors = {name: value for name, value in given.items() if name not in SETTINGS}
    assert constants < tensors.keys()
    gradients = torch.autograd.grad(
        sum(part.square().sum() for part in result), list(tensors.values()), allow_unused=True
    )
    reached = {name for name, found in zip(tensors, gradients, strict=True) if found is not None}
    assert reached == tensors.keys() - constants
