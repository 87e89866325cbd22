"""Data sets of small labelled images that fit into memory."""

from typing import Any, Literal

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import Dataset

from tbd.checks import check_choice

Split = Literal["train", "val"]


class LabelledImages(Dataset[dict[str, Any]]):
    """One split of a set of images: every n-th is for validation, the others for training.

    An item holds ``inputs``, the image [C, H, W] uint8, and ``data_samples``, a data element with
    ``label`` and ``img_id``, the image's place in the whole set.

    Args:
        images: The whole set [M, C, H, W], uint8.
        labels: Class of each image [M].
        classes: Names of the classes.
        split: ``"train"`` or ``"val"``.
        val_every: n.

    Raises:
        ValueError: if ``split`` or ``val_every`` is out of range.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, classes: tuple[str, ...], split: Split, val_every: int
    ) -> None:
        check_choice(Split, **{"dataset.split": split})
        if not 2 <= val_every <= len(images):
            raise ValueError(
                f"dataset.val_every={val_every} must be between 2 and the number of images, "
                f"{len(images)}."
            )
        ids = torch.arange(len(images))
        is_val = ids % val_every == val_every - 1
        chosen = is_val if split == "val" else ~is_val
        self.images = images[chosen]
        self.labels = labels[chosen].tolist()
        self.ids = ids[chosen].tolist()
        self.metainfo = {"classes": classes}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = BaseDataElement(metainfo={"img_id": self.ids[index]}, label=self.labels[index])
        return {"inputs": self.images[index], "data_samples": sample}
