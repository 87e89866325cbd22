import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from tbd.datasets import SemanticMapFromMasks


def results(**changes):
    masks = np.zeros((3, 4, 6), dtype=np.uint8)
    masks[0, :2, :4] = masks[1, 1:, 2:5] = masks[2, 3, :] = 1
    return dict(
        gt_masks=BitmapMasks(masks, 4, 6),
        gt_bboxes_labels=np.array([1, 0, 2]),
        gt_ignore_flags=np.array([False, False, True]),
    ) | dict(changes)


def test_later_masks_cover_earlier_ones_and_crowds_are_ignored():
    transform = TRANSFORMS.build(dict(type="tbd.SemanticMapFromMasks", background=3))
    found = transform(results())
    assert found["gt_seg_map"].dtype == np.uint8
    assert found["gt_seg_map"].tolist() == [
        [1, 1, 1, 1, 3, 3],
        [1, 1, 0, 0, 0, 3],
        [3, 3, 0, 0, 0, 3],
        [255] * 6,
    ]
    assert found["ignore_index"] == 255


def test_polygons_and_images_without_instances():
    square = [np.array([1.0, 1, 3, 1, 3, 3, 1, 3])]
    found = SemanticMapFromMasks(background=5)(
        results(
            gt_masks=PolygonMasks([square], 4, 6),
            gt_bboxes_labels=np.array([2]),
            gt_ignore_flags=np.array([False]),
        )
    )
    assert (found["gt_seg_map"] == 2).sum() == 4
    found = SemanticMapFromMasks(background=5)(
        results(
            gt_masks=BitmapMasks(np.zeros((0, 4, 6), dtype=np.uint8), 4, 6),
            gt_bboxes_labels=np.array([], dtype=np.int64),
            gt_ignore_flags=np.array([], dtype=bool),
        )
    )
    assert (found["gt_seg_map"] == 5).all()


def test_bad_input():
    with pytest.raises(ValueError, match="background must be in 0…255, but is 300"):
        SemanticMapFromMasks(background=300)
    without = results()
    del without["gt_masks"]
    with pytest.raises(KeyError, match="with_mask=True"):
        SemanticMapFromMasks(background=5)(without)
