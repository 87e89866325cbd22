import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms
from tiny import faster_rcnn, retinanet, samples

from tbd.detectors import build_detector, resolve_model_config
from tbd.studies.harmony.nms_trace import (
    Candidates,
    Rivals,
    TracedObject,
    find_rivals,
    lifted_nms,
    measure_nms,
    suppress,
)


def predict(model):
    data = samples()
    batch = dict(
        inputs=[item["inputs"] for item in data],
        data_samples=[item["data_samples"] for item in data],
    )
    with torch.no_grad():
        return [sample.pred_instances for sample in model.test_step(batch)]


@pytest.mark.parametrize(
    ("config", "owner"), [(retinanet(), "bbox_head"), (faster_rcnn(), "roi_head")]
)
def test_nms_of_what_goes_in_gives_what_comes_out(config, owner):
    torch.manual_seed(0)
    model = build_detector(resolve_model_config(config)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    before = getattr(model, owner).test_cfg
    expected = predict(model)
    with lifted_nms(model) as nms:
        candidates = predict(model)
    assert getattr(model, owner).test_cfg is before
    for found, final in zip(candidates, expected, strict=True):
        assert len(found.scores) > len(final.scores)
        arrays = Candidates(found.bboxes.numpy(), found.scores.numpy(), found.labels.numpy())
        decided_by = suppress(arrays, nms.iou_threshold)
        kept = np.flatnonzero(decided_by == np.arange(len(decided_by)))
        kept = kept[np.argsort(-arrays.scores[kept], kind="stable")][: len(final.scores)]
        assert np.allclose(arrays.boxes[kept], final.bboxes.numpy(), atol=1e-4)
        assert np.allclose(arrays.scores[kept], final.scores.numpy(), atol=1e-6)


@pytest.mark.parametrize("nms", [dict(type="soft_nms", iou_threshold=0.5), None])
def test_other_ways_to_suppress_are_left_alone(nms):
    config = retinanet()
    config["test_cfg"].update(nms=nms)
    model = build_detector(resolve_model_config(config))
    before = model.bbox_head.test_cfg
    with lifted_nms(model) as lifted:
        assert lifted is None
        assert model.bbox_head.test_cfg is before


def random_candidates(count, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 30, (count, 2))], axis=1)
    return Candidates(boxes, rng.random(count), rng.integers(0, 3, count))


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_keeps_what_mmcv_keeps(class_agnostic, threshold):
    found = random_candidates(200)
    config = dict(type="nms", iou_threshold=threshold, class_agnostic=class_agnostic)
    arrays = (found.boxes, found.scores, found.labels)
    _, expected = batched_nms(*map(torch.from_numpy, arrays), config)
    decided_by = suppress(found, threshold, class_agnostic)
    kept = np.flatnonzero(decided_by == np.arange(200))
    assert sorted(expected.tolist()) == kept.tolist()
    # Who suppresses is kept, and scores better.
    assert set(decided_by) == set(kept)
    assert (found.scores[decided_by] >= found.scores).all()


def test_the_worse_box_of_an_object_that_suppressed_the_better():
    boxes = np.array(
        [[0, 0, 10, 8], [0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 10, 10.0]]
    )
    # The last one is as good, but of another class.
    candidates = Candidates(boxes, np.array([0.9, 0.6, 0.7, 0.8, 0.5]), np.array([0, 0, 0, 0, 1]))
    decided_by = suppress(candidates, 0.5)
    assert decided_by.tolist() == [0, 0, 0, 3, 4]
    gt = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], float)
    first, second = find_rivals(candidates, decided_by, gt, np.array([0, 0, 0]), 0.3)
    assert (first.gt, first.kept, first.suppressed) == (0, 0, 1)
    assert (first.kept_iou, first.suppressed_iou) == pytest.approx((0.8, 1.0))
    assert first.lost == pytest.approx(0.2)
    # It suppressed nothing.
    assert (second.gt, second.kept, second.suppressed, second.lost) == (1, 3, 3, 0)


def test_objects_that_are_not_found_have_no_rivals():
    candidates = Candidates(np.array([[0, 0, 10, 10.0]]), np.array([0.2]), np.array([0]))
    decided_by = suppress(candidates, 0.5)
    gt = np.array([[0, 0, 10, 10.0]])
    assert not find_rivals(candidates, decided_by, gt, np.array([0]), score_thr=0.3)
    assert not find_rivals(candidates, decided_by, gt, np.array([1]), score_thr=0.1)
    nothing = Candidates(np.empty((0, 4)), np.empty(0), np.empty(0, int))
    assert not find_rivals(nothing, suppress(nothing, 0.5), gt, np.array([0]), 0.1)
    assert not find_rivals(candidates, decided_by, np.empty((0, 4)), np.empty(0, int), 0.1)


def test_what_nms_cost_is_averaged_over_the_objects_that_were_found():
    nothing = Candidates(np.empty((0, 4)), np.empty(0), np.empty(0, int))
    objects = [
        TracedObject(0, nothing, Rivals(0, 0, 0, kept, suppressed))
        for kept, suppressed in ((0.6, 0.6), (0.6, 0.64), (0.5, 0.9), (0.7, 0.8))
    ]
    found = measure_nms(objects, 3)
    assert (found["nms_images"], found["nms_objects"]) == (3, 4)
    assert found["nms_better_suppressed"] == 0.5
    assert found["nms_iou_lost"] == pytest.approx((0 + 0.04 + 0.4 + 0.1) / 4)
    assert measure_nms([], 3) == {"nms_images": 3, "nms_objects": 0}
