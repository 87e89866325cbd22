"""Eight-bit integers for convolutions and matrix products, by onnxruntime's static quantization."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tbd.engine.deployment.extra import import_extra
from tbd.engine.deployment.onnx_detector import OnnxDetector

QUANTIZED = ("Conv", "MatMul", "Gemm")
"""Operators that are quantized; what follows them, boxes and suppression, stays float32."""


def quantize(exported: OnnxDetector, model: bytes, images: Sequence[np.ndarray]) -> bytes:
    """Quantize weights, channel by channel, and activations, by their range on some images.

    Args:
        exported: The model at work.
        model: The same model.
        images: Resized and padded images [H, W, 3] that are like those of the deployment.

    Returns:
        The quantized model, with quantize and dequantize nodes (QDQ).
    """
    tools = import_extra("onnxruntime.quantization")

    class Reader(tools.CalibrationDataReader):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self._feeds: Iterator[dict[str, np.ndarray]] = map(exported.feed, images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model)
        logging.disable(logging.WARNING)
        try:
            tools.quantize_static(
                source,
                target,
                Reader(),
                quant_format=tools.QuantFormat.QDQ,
                per_channel=True,
                # Seven bits: with eight, processors without VNNI overflow in their products.
                reduce_range=True,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                op_types_to_quantize=list(QUANTIZED),
            )
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()
