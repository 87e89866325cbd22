"""From a graph in PyTorch to the bytes of an ONNX model."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tbd.engine.deployment.extra import import_extra
from tbd.engine.deployment.limits import UnexportableError
from tbd.engine.deployment.operators import DEFORM_CONV_OPSET, standard_operators

DEFAULT_OPSET = DEFORM_CONV_OPSET
# GridSample and RoIAlign with half-pixel coordinates.
OLDEST_OPSET = 16
NEWEST_OPSET = 20


def check_opset(opset: int) -> None:
    """Make sure that an opset can hold a detector.

    Raises:
        ValueError: if it cannot.
    """
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ValueError(
            f"--opset {opset}: detectors are exported to opsets {OLDEST_OPSET} to {NEWEST_OPSET}; "
            f"older ones lack operators that they need. Default: {DEFAULT_OPSET}"
        )


def trace(
    graph: nn.Module,
    example: Tensor,
    outputs: Sequence[str],
    opset: int,
    axes: tuple[int, int, int] | None = None,
) -> bytes:
    """Trace a graph.

    Args:
        graph: From one tensor to several, in eval mode.
        example: Its input.
        outputs: Names of its outputs.
        opset: Version of ONNX's operators.
        axes: Axes of images, height and width in the input, where their lengths are to be free.

    Returns:
        The ONNX model.

    Raises:
        UnexportableError: if ONNX has no form for an operator of the graph.
        ValueError: if the opset cannot hold a detector.
    """
    onnx = import_extra("onnx")
    check_opset(opset)
    free = {}
    if axes:
        free = {"image": dict(zip(axes, ("images", "height", "width"), strict=True))}
        free |= {name: {0: "images", 1: "predictions"} for name in outputs}
    # The example's constants are checked: the model is compared with the detector on other images.
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        standard_operators(),
        _quiet("torch.onnx"),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        path = Path(folder, "graph.onnx")
        try:
            torch.onnx.export(
                graph,
                (example,),
                str(path),
                dynamo=False,
                input_names=["image"],
                output_names=list(outputs),
                opset_version=opset,
                dynamic_axes=free or None,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            # What follows the first line is a print of the whole graph.
            reason = str(error).partition("\n")[0]
            raise UnexportableError(
                f"ONNX has no form for an operator of this detector: {reason}"
            ) from None
        content = path.read_bytes()
    model = onnx.load_from_string(content)
    foreign = sorted({f"{n.domain}::{n.op_type}" for n in _nodes(model.graph) if n.domain})
    if foreign:
        raise UnexportableError(
            f"The detector needs operators that ONNX does not have: {', '.join(foreign)}"
        )
    deformable = any(node.op_type == "DeformConv" for node in _nodes(model.graph))
    if deformable and opset < DEFORM_CONV_OPSET:
        raise UnexportableError(
            f"The detector has deformable convolutions, which ONNX knows from opset "
            f"{DEFORM_CONV_OPSET} on, and --opset is {opset}."
        )
    return content


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
