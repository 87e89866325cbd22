"""mmcv's compiled operators on those of torchvision, by the names that mmcv calls.

Signatures are those of mmcv's extension, output buffers among the arguments included.
"""

from collections.abc import Callable
from typing import Any

from tbd.compat.ops.deform_attention import ms_deform_attn_backward, ms_deform_attn_forward
from tbd.compat.ops.deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from tbd.compat.ops.focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from tbd.compat.ops.info import get_compiler_version, get_compiling_cuda_version
from tbd.compat.ops.masked_conv import masked_col2im_forward, masked_im2col_forward
from tbd.compat.ops.nms import nms, nms_match, softnms
from tbd.compat.ops.overlaps import bbox_overlaps
from tbd.compat.ops.roi import (
    roi_align_backward,
    roi_align_forward,
    roi_pool_backward,
    roi_pool_forward,
)

OPERATORS: dict[str, Callable[..., Any]] = {
    operator.__name__: operator
    for operator in (
        bbox_overlaps,
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        deform_conv_forward,
        get_compiler_version,
        get_compiling_cuda_version,
        masked_col2im_forward,
        masked_im2col_forward,
        modulated_deform_conv_backward,
        modulated_deform_conv_forward,
        ms_deform_attn_backward,
        ms_deform_attn_forward,
        nms,
        nms_match,
        roi_align_backward,
        roi_align_forward,
        roi_pool_backward,
        roi_pool_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softmax_focal_loss_backward,
        softmax_focal_loss_forward,
        softnms,
    )
}
