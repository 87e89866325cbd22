"""Images to verify, calibrate and measure an exported detector with."""

from collections.abc import Iterator
from dataclasses import dataclass

import mmcv
import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tbd.engine.data_check import check_data


@dataclass(frozen=True)
class ImageSource:
    """Images [h, w, 3] of bytes, blue, green, red, and where they came from."""

    images: list[np.ndarray]
    origin: str


def test_images(cfg: Config, count: int) -> ImageSource:
    """Read the first images of a config's test data, or make noise where there are none.

    Args:
        cfg: Full config.
        count: How many.
    """
    try:
        return ImageSource(list(read_images(cfg, "test", count)), "images of the test data")
    except FileNotFoundError:
        rng = np.random.default_rng(0)
        noise = [rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(count)]
        return ImageSource(noise, "noise, for the test data is not there")


def read_images(cfg: Config, split: str, count: int) -> Iterator[np.ndarray]:
    """Read the first images of one of a config's data sets.

    Args:
        cfg: Full config.
        split: ``"train"``, ``"val"`` or ``"test"``.
        count: How many, at most.

    Raises:
        FileNotFoundError: if the annotation file or an image does not exist, or the config has no
            such data.
        ValueError: if a file is no image.
    """
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise FileNotFoundError(f"the config has no {split}_dataloader")
    check_data(cfg, (split,))
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmdet")):
        dataset = DATASETS.build(loader["dataset"])
    for index in range(min(count, len(dataset))):
        path = dataset.get_data_info(index)["img_path"]
        image = mmcv.imread(str(path))
        if image is None:
            raise ValueError(f"{split}_dataloader.dataset: {path} is no image that OpenCV reads")
        yield image
