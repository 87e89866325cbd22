"""What the detectors of several runs see on the same images."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmdet.registry import DATASETS
from mmdet.structures.bbox import get_box_tensor
from mmengine.dataset import pseudo_collate

from tbd.evaluation.overlaps import box_overlaps, with_extent
from tbd.studies.comparison.measurement import load_student, predict
from tbd.studies.comparison.runs import Run
from tbd.visualization import Boxes, draw_comparison

SCORE_THR = 0.3
MOST_BOXES = 15
"""Detections that are drawn into an image, the surest."""

_RIGHT_IOU = 0.5


def draw_runs(runs: Sequence[Run], path: Path, num_images: int, teacher: Run | None = None) -> None:
    """Draw ground truth, the teacher's boxes and every run's on the first test images.

    Args:
        runs: Finished runs on the same test data.
        path: PNG file to write.
        num_images: How many images.
        teacher: The finished run of their teacher.
    """
    truth: list[Boxes] = []
    images: list[np.ndarray] = []
    names: list[str] = []
    dataset = DATASETS.build(runs[0].load().test_dataloader.dataset)
    batches = [pseudo_collate([dataset[i]]) for i in range(min(num_images, len(dataset)))]
    for batch in batches:
        sample = batch["data_samples"][0]
        images.append(mmcv.imread(sample.img_path, channel_order="rgb"))
        names.append(Path(sample.img_path).name)
        known = sample.gt_instances
        truth.append(Boxes(get_box_tensor(known.bboxes).numpy(), known.labels.numpy()))
    columns = {"ground truth": truth}
    for run in [*([teacher] if teacher else []), *runs]:
        model = load_student(run)
        drawn = []
        for batch, known_boxes in zip(batches, truth, strict=True):
            found = predict(model, batch)[0].pred_instances.cpu()
            boxes = Boxes(found.bboxes.numpy(), found.labels.numpy(), found.scores.numpy())
            drawn.append(judge(boxes, known_boxes))
        columns[f"teacher: {run.name}" if run is teacher else run.name] = drawn
    note = (
        f"seed {runs[0].seed}; at most {MOST_BOXES} boxes an image, those of the highest score "
        f"from {SCORE_THR:g} on; right: IoU of at least {_RIGHT_IOU:g} with an object of the class"
    )
    draw_comparison(images, columns, dataset.metainfo["classes"], path, SCORE_THR, names, note)


def judge(
    found: Boxes, truth: Boxes, score_thr: float = SCORE_THR, most: int = MOST_BOXES
) -> Boxes:
    """Keep the surest detections, and find out which are right.

    The surest chooses first; an object makes one detection right.

    Args:
        found: Detections of an image.
        truth: Its objects.
        score_thr: Smallest score that is kept.
        most: How many are kept.

    Returns:
        The detections kept, the surest first, with :attr:`~tbd.visualization.Boxes.correct`.
    """
    assert found.scores is not None
    kept = np.argsort(-found.scores, kind="stable")[:most]
    kept = kept[found.scores[kept] >= score_thr]
    boxes, labels, scores = found.boxes[kept], found.labels[kept], found.scores[kept]
    overlaps = box_overlaps(with_extent(boxes), with_extent(truth.boxes))
    overlaps[labels[:, None] != truth.labels[None]] = 0
    correct = np.zeros(len(kept), bool)
    for index in range(len(kept)):
        best = int(overlaps[index].argmax()) if len(truth.boxes) else 0
        if len(truth.boxes) and overlaps[index, best] >= _RIGHT_IOU:
            correct[index] = True
            overlaps[:, best] = 0
    return Boxes(boxes, labels, scores, correct)
