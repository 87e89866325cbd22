"""What the detectors of several runs see on the same images."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmdet.registry import DATASETS
from mmdet.structures.bbox import get_box_tensor
from mmengine.dataset import pseudo_collate

from tbd.studies.comparison.measurement import load_student, predict
from tbd.studies.comparison.runs import Run
from tbd.visualization import Boxes, draw_comparison


def draw_runs(runs: Sequence[Run], path: Path, num_images: int) -> None:
    """Draw ground truth and every run's boxes on the first test images.

    Args:
        runs: Finished runs on the same test data.
        path: PNG file to write.
        num_images: How many images.
    """
    columns: dict[str, list[Boxes]] = {"ground truth": []}
    images: list[np.ndarray] = []
    dataset = DATASETS.build(runs[0].load().test_dataloader.dataset)
    batches = [pseudo_collate([dataset[i]]) for i in range(min(num_images, len(dataset)))]
    for batch in batches:
        sample = batch["data_samples"][0]
        images.append(mmcv.imread(sample.img_path, channel_order="rgb"))
        truth = sample.gt_instances
        columns["ground truth"].append(
            Boxes(get_box_tensor(truth.bboxes).numpy(), truth.labels.numpy())
        )
    for run in runs:
        model = load_student(run)
        columns[run.name] = []
        for batch in batches:
            found = predict(model, batch)[0].pred_instances.cpu()
            columns[run.name].append(
                Boxes(found.bboxes.numpy(), found.labels.numpy(), found.scores.numpy())
            )
    draw_comparison(images, columns, dataset.metainfo["classes"], path)
