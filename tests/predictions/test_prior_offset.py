import pytest
import tiny
from mmdet.structures.bbox import get_box_tensor

from tbd.detectors import build_detector, resolve_model_config
from tbd.predictions import build_adapter, find_dense_head


def centred_anchors():
    anchors = dict(type="AnchorGenerator", scales=[4.0], ratios=[1.0, 3.0], strides=[8, 16, 32])
    return tiny.retinanet(anchor_generator=anchors | dict(center_offset=0.5))


@pytest.mark.parametrize(
    "config", [tiny.retinanet, centred_anchors, tiny.gfl, tiny.fcos, tiny.faster_rcnn]
)
def test_it_is_where_the_first_prior_of_each_level_has_its_centre(config):
    head = find_dense_head(build_detector(resolve_model_config(config())))[1]
    adapter = build_adapter(head)
    sizes = [(4, 4)] * len(adapter.strides)
    for priors, (stride, _) in zip(
        head.prior_generator.grid_priors(sizes, device="cpu"), adapter.strides, strict=True
    ):
        first = get_box_tensor(priors)[0]
        left, right = first[0], first[2] if len(first) == 4 else first[0]
        assert adapter.prior_offset == pytest.approx((left + right).item() / 2 / stride)


def test_anchors_in_the_middle_of_their_cells_are_found_there():
    head = find_dense_head(build_detector(resolve_model_config(centred_anchors())))[1]
    assert build_adapter(head).prior_offset == pytest.approx(0.5)
