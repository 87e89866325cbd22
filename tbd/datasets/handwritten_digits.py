"""Handwritten digits: scikit-learn's, which need no download, and MNIST."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets.mnist import read_image_file, read_label_file

from tbd.datasets.labelled_images import LabelledImages, Split
from tbd.registry import DATASETS

DIGITS = tuple("0123456789")
MNISTFiles = Literal["t10k", "train"]

_BRIGHTEST = 16
_BORDER = 4


@DATASETS.register_module()
class DigitsDataset(LabelledImages):
    """The 1,797 handwritten digits that scikit-learn ships, brought to MNIST's format.

    They are 8×8 pixels in 17 grey levels (Alpaydin and Kaynak, UCI 1998). They are enlarged
    bicubically and framed by 4 pixels of background, as MNIST's are.

    Args:
        split: ``"train"`` or ``"val"``.
        image_size: Height and width in pixels, at least 16.
        val_every: Every such image is for validation; 5 makes 1,438 + 359.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if an argument is out of its range.
    """

    def __init__(self, split: Split, image_size: int = 28, val_every: int = 5) -> None:
        if image_size < 2 * _BORDER + 8:
            raise ValueError(f"dataset.image_size={image_size} must be at least {2 * _BORDER + 8}.")
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError(
                "tbd.DigitsDataset reads the digits that scikit-learn ships; install it with "
                "pip install scikit-learn"
            ) from error
        digits = load_digits()
        images = _enlarge(torch.from_numpy(digits.images).float(), image_size)
        super().__init__(images, torch.from_numpy(digits.target), DIGITS, split, val_every)


@DATASETS.register_module()
class MNISTDataset(LabelledImages):
    """MNIST's digits (LeCun et al., 1998), 28×28 pixels, from torchvision's folder layout.

    Args:
        data_root: Folder that holds ``MNIST/raw/t10k-images-idx3-ubyte`` and so on, as
            ``torchvision.datasets.MNIST(data_root, download=True)`` makes it. Nothing is downloaded
            here.
        split: ``"train"`` or ``"val"``.
        files: Which of MNIST's two files to split: ``"t10k"``, 10,000 images, or ``"train"``,
            60,000.
        val_every: Every such image is for validation; 10 makes 9,000 + 1,000 of ``"t10k"``.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if an argument is out of its range, or the files do not belong together.
    """

    def __init__(
        self, data_root: str, split: Split, files: MNISTFiles = "t10k", val_every: int = 10
    ) -> None:
        folder = Path(data_root) / "MNIST" / "raw"
        paths = [folder / f"{files}-{name}-ubyte" for name in ("images-idx3", "labels-idx1")]
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(
                    f"dataset.data_root={data_root!r}: there is no {path.absolute()}. Put MNIST's "
                    "files there, unpacked, as torchvision.datasets.MNIST(data_root, "
                    "download=True) does; or set the environment variable TBD_DATA to the folder "
                    "that holds mnist/, or --cfg-options data_root=FOLDER"
                )
        images, labels = read_image_file(str(paths[0])), read_label_file(str(paths[1]))
        if len(images) != len(labels):
            raise ValueError(
                f"{paths[0]} holds {len(images)} images but {paths[1]} {len(labels)} labels; "
                "one of them is incomplete."
            )
        super().__init__(images[:, None], labels, DIGITS, split, val_every)


def _enlarge(images: Tensor, size: int) -> Tensor:
    """Bring images [M, 8, 8] in 0…16 to [M, 1, size, size], uint8."""
    inner = size - 2 * _BORDER
    scaled = images[:, None] * (255 / _BRIGHTEST)
    enlarged = F.interpolate(scaled, (inner, inner), mode="bicubic", align_corners=False)
    framed = F.pad(enlarged, (_BORDER,) * 4)
    return framed.round().clamp(0, 255).to(torch.uint8)
