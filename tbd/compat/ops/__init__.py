"""mmcv's compiled operators on those of torchvision, by the names that mmcv calls.

Signatures are those of mmcv's extension, output buffers among the arguments included.
"""

from collections.abc import Callable
from typing import Any

from tbd.compat.ops.nms import nms, nms_match, softnms

OPERATORS: dict[str, Callable[..., Any]] = {
    operator.__name__: operator
    for operator in (
        nms,
        nms_match,
        softnms,
    )
}
