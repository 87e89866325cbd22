import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tbd.evaluation.average_precision import average_precision, class_precisions, match_detections

CLASSES = 3


def random_image(rng, image_id, detections):
    """Boxes, labels and crowd flags of one image; detections near them and some elsewhere."""
    count = int(rng.integers(0, 7))
    boxes = np.concatenate([rng.uniform(0, 60, (count, 2)), rng.uniform(15, 40, (count, 2))], 1)
    labels = rng.integers(0, CLASSES, count)
    crowd = rng.random(count) < 0.2
    if count:
        near = rng.integers(0, count, detections)
        found = boxes[near] + rng.normal(0, 3, (detections, 4))
        found_labels = np.where(rng.random(detections) < 0.8, labels[near], 0)
    else:
        found = rng.uniform(10, 40, (detections, 4))
        found_labels = rng.integers(0, CLASSES, detections)
    # Two decimals: many detections of equal score, within an image and across images.
    scores = rng.integers(0, 40, detections) / 40
    return dict(
        id=image_id,
        boxes=boxes,
        labels=labels,
        crowd=crowd,
        found=found,
        found_labels=found_labels,
        scores=scores,
    )


def coco_ap(images, ranking):
    """The AP by pycocotools."""
    annotations = [
        dict(
            id=1000 * image["id"] + i + 1,
            image_id=image["id"],
            category_id=int(label),
            bbox=image["boxes"][i].tolist(),
            area=float(image["boxes"][i, 2:].prod()),
            iscrowd=int(image["crowd"][i]),
        )
        for image in images
        for i, label in enumerate(image["labels"])
    ]
    results = [
        dict(
            image_id=image["id"],
            category_id=int(label),
            bbox=image["found"][i].tolist(),
            score=float(image[ranking][i]),
        )
        for image in images
        for i, label in enumerate(image["found_labels"])
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(
            images=[dict(id=image["id"]) for image in images],
            annotations=annotations,
            categories=[dict(id=i, name=str(i)) for i in range(CLASSES)],
        )
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def own_ap(images, ranking):
    matches = []
    for image in images:
        ious = np.zeros((len(image["found"]), len(image["boxes"])))
        if ious.size:
            ious = mask_utils.iou(image["found"], image["boxes"], image["crowd"].astype(np.uint8))
        labels = image["found_labels"], ious, image["labels"], image["crowd"]
        matches.append(match_detections(image[ranking], *labels))
    return average_precision(
        [image[ranking] for image in images],
        [image["found_labels"] for image in images],
        matches,
        [image["labels"][~image["crowd"]] for image in images],
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("detections", [0, 25, 330])
def test_equals_pycocotools(seed, detections):
    rng = np.random.default_rng(seed)
    # 330 detections: more of a class than COCO counts in an image.
    images = [random_image(rng, i, detections if i else 5) for i in range(20)]
    for image in images:
        image["other"] = rng.random(len(image["found"])).astype(np.float32)
    for ranking in ("scores", "other"):
        # float32, as detectors give scores.
        for image in images:
            image[ranking] = image[ranking].astype(np.float32)
        assert own_ap(images, ranking) == coco_ap(images, ranking)


def test_no_ground_truth_is_no_ap():
    image = random_image(np.random.default_rng(0), 0, 4)
    image["crowd"][:] = True
    assert own_ap([image], "scores") is None
    assert average_precision([], [], [], []) is None
    assert class_precisions([], [], [], []) == {}


def test_duplicates_and_classes_by_hand():
    # Two objects of class 0; the best detection is a duplicate of the second.
    ious = np.array([[0.8, 0.0], [0.0, 0.9], [0.0, 0.7], [0.9, 0.0]])
    ranking = np.array([0.6, 0.7, 0.9, 0.8])
    labels = np.array([0, 0, 0, 1])
    matched = match_detections(ranking, labels, ious, np.array([0, 0]), np.zeros(2, bool))
    # The duplicate takes the object up to a threshold of 0.7, the better box from 0.75 on.
    hits = [f"{value:010b}"[::-1] for value in matched.hits]
    assert hits == ["1111111000", "0000011110", "1111100000", "0000000000"]
    # Ranks: duplicate, better box, first object. Precision up to a recall of 1/2, then up to 1:
    # at 0.50 to 0.70 hit, miss, hit: 1, 2/3; at 0.75 and 0.80 miss, hit, hit: 2/3, 2/3;
    # at 0.85 and 0.90 miss, hit: 1/2, 0; at 0.95 nothing. 51 of the 101 recalls are up to 1/2.
    expected = (5 * (51 + 50 * 2 / 3) + 2 * 101 * 2 / 3 + 2 * 51 / 2) / 101 / 10
    found = average_precision([ranking], [labels], [matched], [np.array([0, 0])])
    assert found == pytest.approx(expected)
    of_classes = class_precisions([ranking], [labels], [matched], [np.array([0, 0])])
    assert of_classes == {0: pytest.approx(expected)}
