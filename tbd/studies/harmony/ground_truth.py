"""Ground truth of a data set, apart from what a detector's test pipeline makes of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from tbd.detectors.classes import dataset_classes


class GroundTruth:
    """Annotations of a data set, in pixels of the original images whatever the pipeline does.

    Args:
        dataset: A data set of MMDetection.

    Attributes:
        classes: Names of its classes, if it has any.
        content: All that the results depend on, as plain lists.
    """

    def __init__(self, dataset: Any) -> None:
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        self._instances = {info["img_id"]: info.get("instances", []) for info in infos}
        self.classes = dataset_classes(dataset)
        self.content = [
            [
                info["img_id"],
                Path(info["img_path"]).name,
                [
                    [i["bbox"], i["bbox_label"], i.get("ignore_flag", 0)]
                    for i in self._instances[info["img_id"]]
                ],
            ]
            for info in infos
        ]

    def put_into(self, sample: DetDataSample) -> None:
        """Replace the ground truth of a sample."""
        parts: dict[int, list[Mapping[str, Any]]] = {0: [], 1: []}
        for instance in self._instances[sample.img_id]:
            parts[int(bool(instance.get("ignore_flag", 0)))].append(instance)
        sample.gt_instances, sample.ignored_instances = (
            InstanceData(
                bboxes=torch.tensor([i["bbox"] for i in part], dtype=torch.float64).view(-1, 4),
                labels=torch.tensor([i["bbox_label"] for i in part], dtype=torch.long),
            )
            for part in parts.values()
        )
