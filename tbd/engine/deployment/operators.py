"""ONNX forms of operators that mmcv exports as operators of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmcv.ops.deform_conv import DeformConv2dFunction
from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction

DEFORM_CONV_OPSET = 19
"""The first with DeformConv."""


@contextmanager
def standard_operators() -> Iterator[None]:
    """Let deformable convolutions become ONNX's DeformConv while a detector is traced."""
    kinds = (DeformConv2dFunction, ModulatedDeformConv2dFunction)
    before = [kind.symbolic for kind in kinds]
    kinds[0].symbolic = staticmethod(_deform_conv)
    kinds[1].symbolic = staticmethod(_modulated_deform_conv)
    try:
        yield
    finally:
        for kind, symbolic in zip(kinds, before, strict=True):
            kind.symbolic = staticmethod(symbolic)


def _deform_conv(
    g: Any,
    image: Any,
    offset: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    deform_groups: Any,
    bias: bool = False,
    im2col_step: int = 32,
) -> Any:
    return g.op(
        "DeformConv",
        image,
        weight,
        offset,
        **_attributes(image, weight, offset, stride, padding, dilation),
    )


def _modulated_deform_conv(
    g: Any,
    image: Any,
    offset: Any,
    mask: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    deform_groups: Any,
) -> Any:
    if bias is None:
        outputs = weight.type().sizes()[0]
        bias = g.op("Constant", value_t=torch.zeros(outputs))
    return g.op(
        "DeformConv",
        image,
        weight,
        offset,
        bias,
        mask,
        **_attributes(image, weight, offset, stride, padding, dilation),
    )


def _attributes(
    image: Any, weight: Any, offset: Any, stride: Any, padding: Any, dilation: Any
) -> dict[str, Any]:
    # Groups follow from the shapes; TOOD passes them as part of the trace, not as numbers.
    _, inputs, *kernel = weight.type().sizes()
    groups = image.type().sizes()[1] // inputs
    deform_groups = offset.type().sizes()[1] // (2 * kernel[0] * kernel[1])
    return dict(
        strides_i=_pair(stride),
        pads_i=_pair(padding) * 2,
        dilations_i=_pair(dilation),
        group_i=groups,
        offset_group_i=deform_groups,
    )


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
