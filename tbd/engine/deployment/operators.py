"""ONNX forms of operators that mmcv exports as operators of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmcv.ops.deform_conv import DeformConv2dFunction, deform_conv2d
from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
from mmdet.models.dense_heads import TOODHead
from torch import Tensor

DEFORM_CONV_OPSET = 19
"""The first with DeformConv."""


@contextmanager
def standard_operators() -> Iterator[None]:
    """Let deformable convolutions become ONNX's DeformConv while a detector is traced."""
    kinds = (DeformConv2dFunction, ModulatedDeformConv2dFunction)
    before = [kind.symbolic for kind in kinds]
    sampling, forward = TOODHead.deform_sampling, TOODHead.forward
    kinds[0].symbolic = staticmethod(_deform_conv)
    kinds[1].symbolic = staticmethod(_modulated_deform_conv)
    TOODHead.deform_sampling = _deform_sampling
    TOODHead.forward = _anchors_of_any_number_of_images(forward)
    try:
        yield
    finally:
        TOODHead.deform_sampling, TOODHead.forward = sampling, forward
        for kind, symbolic in zip(kinds, before, strict=True):
            kind.symbolic = staticmethod(symbolic)


def _deform_sampling(head: TOODHead, feat: Tensor, offset: Tensor) -> Tensor:
    """As the head's own, whose number of groups would become a part of the trace."""
    channels = int(feat.shape[1])
    weight = feat.new_ones(channels, 1, 1, 1)
    return deform_conv2d(feat, offset, weight, 1, 0, 1, channels, channels)


def _anchors_of_any_number_of_images(forward: Any) -> Any:
    """As TOOD's own forward, which repeats anchors in a loop that the trace would unroll."""

    def run(head: TOODHead, feats: tuple[Tensor, ...]) -> Any:
        generator = head.prior_generator
        of_one_image = generator.single_level_grid_priors

        def of_all(*args: Any, **kwargs: Any) -> Tensor:
            return of_one_image(*args, **kwargs).repeat(feats[0].shape[0], 1)

        generator.single_level_grid_priors = of_all
        try:
            # With the example's one image the loop adds nothing.
            return forward(head, feats)
        finally:
            del generator.single_level_grid_priors

    return run


def _deform_conv(
    g: Any,
    image: Any,
    offset: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    deform_groups: int,
    bias: bool = False,
    im2col_step: int = 32,
) -> Any:
    return g.op(
        "DeformConv",
        image,
        weight,
        offset,
        **_attributes(stride, padding, dilation, groups, deform_groups),
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
    groups: int,
    deform_groups: int,
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
        **_attributes(stride, padding, dilation, groups, deform_groups),
    )


def _attributes(
    stride: Any, padding: Any, dilation: Any, groups: int, deform_groups: int
) -> dict[str, Any]:
    return dict(
        strides_i=_pair(stride),
        pads_i=_pair(padding) * 2,
        dilations_i=_pair(dilation),
        group_i=groups,
        offset_group_i=deform_groups,
    )


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
