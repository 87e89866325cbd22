"""NMS, soft-NMS and NMS-match through mmcv's own functions."""

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms, nms, nms_match, soft_nms
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [30, 50, 70])
def test_nms(reference, offset, threshold):
    dets, inds = nms(reference("boxes"), reference("scores"), threshold / 100, offset=offset)
    name = f"nms_o{offset}_t{threshold}"
    assert_close(inds, reference(f"{name}_inds"))
    assert_close(dets, reference(f"{name}_dets"), rtol=0, atol=0)


def test_nms_with_score_threshold_and_limit(reference):
    dets, inds = nms(reference("boxes"), reference("scores"), 0.5, score_threshold=0.3, max_num=7)
    assert_close(inds, reference("nms_st30_max7_t50_inds"))
    assert_close(dets, reference("nms_st30_max7_t50_dets"), rtol=0, atol=0)


def test_max_num_zero_means_no_limit(reference):
    _, inds = nms(reference("boxes"), reference("scores"), 0.5, max_num=0)
    assert_close(inds, reference("nms_o0_t50_inds"))


def test_nms_takes_numpy(reference):
    boxes, scores = reference("boxes").numpy(), reference("scores").numpy()
    _, inds = nms(boxes, scores, 0.5)
    np.testing.assert_array_equal(inds, reference("nms_o0_t50_inds").numpy())


def test_nms_keeps_iou_equal_to_the_threshold(reference):
    _, inds = nms(reference("edge_boxes"), reference("edge_scores"), 0.5)
    assert_close(inds, reference("edge_nms_t50_inds"))


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("tenths", range(1, 10))
def test_nms_keeps_iou_of_exact_tenths(offset, tenths):
    # One is ten wide, the other lies within it and is ``tenths`` wide, counted with the offset.
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, tenths, 10]]).float()
    boxes[:, 2:] -= offset
    for threshold, kept in ((tenths / 10, 2), (tenths / 10 - 1e-6, 1)):
        _, inds = nms(boxes, torch.tensor([0.9, 0.8]), threshold, offset=offset)
        assert len(inds) == kept, threshold


def test_nms_offset_far_from_the_origin():
    # Batched NMS shifts boxes by class; at 2e6 a float32 resolves a quarter of a pixel.
    boxes = torch.tensor([[0.0, 0, 2.25, 1], [0.25, 0, 2.75, 1]])
    scores = torch.tensor([0.9, 0.8])
    near = nms(boxes, scores, 0.75, offset=1)[1]
    far = nms(boxes + torch.tensor([2e6, 0, 2e6, 0]), scores, 0.75, offset=1)[1]
    assert_close(near, far)


def test_nms_without_boxes(reference):
    dets, inds = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert_close(dets, reference("edge_empty_dets"))
    assert_close(inds, reference("edge_empty_inds"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nms_of_half_precision_equals_nms_of_the_same_numbers(reference, dtype):
    boxes, scores = reference("boxes").to(dtype), reference("scores").to(dtype)
    assert_close(nms(boxes, scores, 0.5)[1], nms(boxes.float(), scores.float(), 0.5)[1])


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(reference, row, method):
    threshold, sigma, min_score = reference("softnms_params")[row].tolist()
    dets, inds = soft_nms(
        reference("boxes"), reference("scores"), threshold, sigma, min_score, method
    )
    name = f"softnms_{method}_t{30 if row == 0 else 50}"
    assert_close(inds, reference(f"{name}_inds"))
    assert_close(dets, reference(f"{name}_dets"))


def test_soft_nms_acts_on_iou_equal_to_the_threshold(reference):
    dets, inds = soft_nms(reference("edge_boxes"), reference("edge_scores"), 0.5, method="naive")
    assert_close(inds, reference("edge_softnms_naive_t50_inds"))
    assert_close(dets, reference("edge_softnms_naive_t50_dets"))


def test_soft_nms_without_boxes():
    dets, inds = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5)
    assert inds.shape == (0,)


def _soft_nms_loop(boxes, scores, threshold, sigma, min_score, method, offset):
    """Soft-NMS box by box in float32: swap the best to the front, replace dropped by the last."""
    threshold, sigma, min_score, offset = np.float32([threshold, sigma, min_score, offset])
    zero, one = np.float32([0, 1])
    columns = zip(boxes.numpy(), scores.numpy(), range(len(boxes)), strict=True)
    rows = [[*box, score, index] for box, score, index in columns]
    i = 0
    while i < len(rows):
        best = i
        for j in range(i + 1, len(rows)):
            if rows[best][4] < rows[j][4]:
                best = j
        rows[i], rows[best] = rows[best], rows[i]
        a = rows[i]
        j = i + 1
        while j < len(rows):
            b = rows[j]
            width = max(zero, min(a[2], b[2]) - max(a[0], b[0]) + offset)
            height = max(zero, min(a[3], b[3]) - max(a[1], b[1]) + offset)
            areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
            union = areas[0] + areas[1] - width * height
            iou = width * height / union if union else np.float32(np.nan)
            if method == "gaussian":
                b[4] *= np.exp(-iou * iou / sigma)
            elif iou >= threshold:
                b[4] *= one - iou if method == "linear" else zero
            if b[4] < min_score:
                rows[j] = rows[-1]
                rows.pop()
            else:
                j += 1
        i += 1
    return [row[5] for row in rows], [row[4] for row in rows]


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms_orders_equal_scores_as_mmcv(method, offset):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        # Few distinct coordinates and scores: many ties, and boxes without area.
        corners = torch.randint(0, 6, (30, 2, 2), generator=generator)
        boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1).float()
        scores = torch.randint(1, 5, (30,), generator=generator) / 4
        # Not an IoU that these boxes can have.
        threshold = 0.37
        dets, inds = soft_nms(boxes, scores, threshold, 0.5, 0.21, method, offset)
        index, score = _soft_nms_loop(boxes, scores, threshold, 0.5, 0.21, method, offset)
        assert inds.tolist() == index
        assert_close(dets[:, 4], torch.tensor(np.array(score)), equal_nan=True)


@pytest.mark.parametrize("threshold", [30, 50, 70])
def test_nms_match(reference, threshold):
    dets = torch.cat([reference("boxes"), reference("scores")[:, None]], dim=1)
    groups = nms_match(dets, threshold / 100)
    name = f"nmsmatch_t{threshold}"
    assert [len(group) for group in groups] == reference(f"{name}_len").tolist()
    assert_close(torch.cat(groups), reference(f"{name}_flat"), check_dtype=False)


def test_nms_match_acts_on_iou_equal_to_the_threshold(reference):
    dets = torch.cat([reference("edge_boxes"), reference("edge_scores")[:, None]], dim=1)
    assert [0, 1] in [group.tolist() for group in nms_match(dets, 0.5)]


@pytest.mark.parametrize(
    ("name", "cfg", "class_agnostic"),
    [
        ("nms50", {"type": "nms", "iou_threshold": 0.5}, False),
        ("nms50_agn", {"type": "nms", "iou_threshold": 0.5}, True),
        ("nms50_split", {"type": "nms", "iou_threshold": 0.5, "split_thr": 20}, False),
        (
            "nms50_split_max9",
            {"type": "nms", "iou_threshold": 0.5, "split_thr": 20, "max_num": 9},
            False,
        ),
        ("nms50_max9", {"type": "nms", "iou_threshold": 0.5, "max_num": 9}, False),
        (
            "soft",
            {"type": "soft_nms", "iou_threshold": 0.3, "min_score": 0.05, "method": "linear"},
            False,
        ),
        ("none", None, False),
    ],
)
def test_batched_nms(reference, name, cfg, class_agnostic):
    dets, inds = batched_nms(
        reference("boxes"), reference("scores"), reference("idxs"), cfg, class_agnostic
    )
    assert_close(inds, reference(f"bnms_{name}_inds"))
    assert_close(dets, reference(f"bnms_{name}_dets"))
