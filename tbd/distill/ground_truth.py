"""The ground truth of a batch, as distillation terms see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor


@dataclass(frozen=True)
class GroundTruth:
    """What is known of the N images of a batch, in pixels of the detector's input.

    Attributes:
        boxes: For each image, the boxes of its objects [G, 4] as ``x1, y1, x2, y2``.
        labels: For each image, their classes [G], integers from 0.
        ignored: For each image, boxes [K, 4] of regions that count neither as
            object nor as background: COCO's crowds, VOC's difficult objects.
        image_sizes: Height and width of each image inside the padding.
        input_size: Height and width of the batch, padding included.
    """

    boxes: list[Tensor]
    labels: list[Tensor]
    ignored: list[Tensor]
    image_sizes: tuple[tuple[int, int], ...]
    input_size: tuple[int, int]

    @classmethod
    def of(cls, batch_inputs: Tensor, samples: Sequence[DetDataSample]) -> "GroundTruth":
        """Read the ground truth of a training batch.

        Args:
            batch_inputs: The images [N, 3, H, W].
            samples: Their samples, after the data preprocessor.
        """
        height, width = batch_inputs.shape[-2:]
        boxes = [_boxes(sample.gt_instances, batch_inputs) for sample in samples]
        return cls(
            boxes=boxes,
            labels=[
                sample.gt_instances.labels.to(batch_inputs.device)
                if "labels" in sample.gt_instances
                else box.new_zeros(len(box)).long()
                for sample, box in zip(samples, boxes, strict=True)
            ],
            ignored=[
                _boxes(sample.get("ignored_instances", {}), batch_inputs) for sample in samples
            ],
            image_sizes=tuple((int(s.img_shape[0]), int(s.img_shape[1])) for s in samples),
            input_size=(int(height), int(width)),
        )

    @classmethod
    def of_boxes(cls, batch_inputs: Tensor, boxes: Sequence[Tensor]) -> "GroundTruth":
        """Describe images of which nothing is known but the boxes of their objects [G, 4]."""
        height, width = batch_inputs.shape[-2:]
        size = (int(height), int(width))
        return cls(
            boxes=list(boxes),
            labels=[box.new_zeros(len(box)).long() for box in boxes],
            ignored=[box.new_zeros(0, 4) for box in boxes],
            image_sizes=(size,) * len(boxes),
            input_size=size,
        )

    def occupied(self) -> list[Tensor]:
        """For each image, boxes [G + K, 4] of what is no background: objects, ignored regions."""
        return [
            torch.cat([boxes, ignored.to(boxes)])
            for boxes, ignored in zip(self.boxes, self.ignored, strict=True)
        ]

    def select_classes(self, classes: Sequence[int]) -> "GroundTruth":
        """See objects of some of the classes, numbered in the order given; ignore the others."""
        boxes, labels, ignored = [], [], []
        for own_boxes, own_labels, own_ignored in zip(
            self.boxes, self.labels, self.ignored, strict=True
        ):
            is_class = own_labels[:, None] == own_labels.new_tensor(list(classes))
            kept = is_class.any(dim=1)
            boxes.append(own_boxes[kept])
            labels.append(is_class[kept].long().argmax(dim=1))
            ignored.append(torch.cat([own_ignored.to(own_boxes), own_boxes[~kept]]))
        return replace(self, boxes=boxes, labels=labels, ignored=ignored)


def _boxes(instances: object, like: Tensor) -> Tensor:
    """Boxes of an ``InstanceData``, none where it has no boxes."""
    if "bboxes" not in instances:  # type: ignore[operator]
        return like.new_zeros(0, 4)
    return get_box_tensor(instances.bboxes).detach()  # type: ignore[attr-defined]
