"""How a detector is exported to ONNX, and which ways of it contradict each other."""

import os
from dataclasses import dataclass
from pathlib import Path

from tbd.arguments import checked
from tbd.engine.deployment.extra import import_extra
from tbd.engine.deployment.tracing import DEFAULT_OPSET, check_opset

_SMALLEST_SIDE = 32


@checked
@dataclass(frozen=True)
class OnnxOptions:
    """How a detector is exported.

    Attributes:
        end_to_end: Normalisation, channel order and non-maximum suppression in the graph.
        dynamic: Any number of images of any size.
        half: Weights and features in float16; boxes and suppression stay float32.
        int8: Weights and features of convolutions and products in eight bits.
        input_size: Height and width of the input instead of those of the config.
        opset: Version of ONNX's operators.
        images: How many images the file is verified on.
        evaluate: Measure the AP of both on the test data.
        force: Overwrite a file that is there.
    """

    end_to_end: bool = False
    dynamic: bool = False
    half: bool = False
    int8: bool = False
    input_size: tuple[int, int] | None = None
    opset: int = DEFAULT_OPSET
    images: int = 4
    evaluate: bool = False
    force: bool = False

    def check(self, path: Path) -> None:
        """Refuse at once what cannot be done.

        Args:
            path: The file that is to be written.

        Raises:
            FileExistsError: The file is there, and ``force`` is not set.
            ImportError: onnx or onnxruntime is not installed.
            ValueError: Options contradict each other, or nothing can be written there.
        """
        for package in ("onnx", "onnxruntime"):
            import_extra(package)
        check_opset(self.opset)
        if self.half and self.int8:
            raise ValueError("--half and --int8: a file has one precision; choose one of them")
        if self.images < 1:
            raise ValueError(f"--images {self.images}: a file is verified on 1 image or more")
        if self.input_size is not None and min(self.input_size) < _SMALLEST_SIDE:
            height, width = self.input_size
            raise ValueError(
                f"--input-size {height} {width}: an image has at least {_SMALLEST_SIDE} pixels on "
                "each side, one cell of a detector's coarser features"
            )
        if path.exists() and not self.force:
            raise FileExistsError(f"{path} is there already; --force overwrites it")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise ValueError(f"--out-dir: nothing can be written to {folder}")
