"""Noise with boxes drawn at random, for trials that need no data at hand."""

from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch.utils.data import Dataset

from tbd.registry import DATASETS

MIN_SHARE, MAX_SHARE = 0.1, 0.7


@DATASETS.register_module()
class RandomBoxesDataset(Dataset):
    """Square images of noise, their boxes from a tenth to seven tenths of the side.

    An item depends on its index alone. It is what MMDetection's pipelines end
    with: an image uint8 [3, size, size] and its sample with boxes and labels.

    Args:
        num_classes: Number of classes, named by their index.
        num_images: Number of images.
        size: Height and width of the images, in pixels.
        num_boxes: Boxes in each image.
        with_masks: Add masks, which fill the boxes.
    """

    generates_data = True

    def __init__(
        self,
        num_classes: int,
        num_images: int = 2,
        size: int = 128,
        num_boxes: int = 6,
        with_masks: bool = False,
    ) -> None:
        self.metainfo = dict(classes=tuple(str(index) for index in range(num_classes)))
        self.num_images = num_images
        self.size = size
        self.num_boxes = num_boxes
        self.with_masks = with_masks

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(
            0, 256, (3, self.size, self.size), generator=generator, dtype=torch.uint8
        )
        shares = MIN_SHARE + (MAX_SHARE - MIN_SHARE) * torch.rand(
            self.num_boxes, 2, generator=generator
        )
        corners = (1 - shares) * torch.rand(self.num_boxes, 2, generator=generator)
        boxes = self.size * torch.cat([corners, corners + shares], dim=1)
        labels = torch.randint(
            len(self.metainfo["classes"]), (self.num_boxes,), generator=generator
        )
        instances = InstanceData(bboxes=boxes, labels=labels)
        if self.with_masks:
            instances.masks = self._masks(boxes)
        shape = (self.size, self.size)
        sample = DetDataSample(
            metainfo=dict(
                img_id=index,
                img_path=f"noise {index}",
                img_shape=shape,
                ori_shape=shape,
                scale_factor=(1.0, 1.0),
                # Top, bottom, left and right of the image inside its padding; CenterNet asks.
                border=(0, self.size, 0, self.size),
            ),
            gt_instances=instances,
            ignored_instances=InstanceData(bboxes=boxes[:0], labels=labels[:0]),
        )
        return dict(inputs=image, data_samples=sample)

    def update_skip_type_keys(self, keys: list[str]) -> None:
        """Accept the call by which YOLOX ends its mosaics: there are no transforms to skip."""

    def _masks(self, boxes: torch.Tensor) -> BitmapMasks:
        pixels = torch.arange(self.size) + 0.5
        inside = [
            (low <= pixels) & (pixels <= high)
            for low, high in (
                (boxes[:, 1:2], boxes[:, 3:4]),
                (boxes[:, 0:1], boxes[:, 2:3]),
            )
        ]
        masks = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
        return BitmapMasks(masks.to(torch.uint8).numpy(), self.size, self.size)
