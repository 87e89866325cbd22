import pytest
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import CHANNELS, NARROW, NORMED_TOWER, build_head, head_inputs, random_output
from mmengine.config import ConfigDict

from tbd.predictions import UnsupportedHeadError, build_adapter

YOLOX = ("yolox/yolox_s_8xb8-300e_coco.py", "yolox/yolox_nano_8xb8-300e_coco.py")
CENTERNET = "centernet/centernet_r18_8xb16-crop512-140e_coco.py"
CELLS = 6


def yolox(config=YOLOX[0]):
    head = build_head(config, **NORMED_TOWER)
    return head, head_inputs(head, (8, 16, 32), 64)


def centernet():
    everything = ConfigDict(topk=3 * CELLS**2, local_maximum_kernel=1, max_per_img=10**6)
    head = build_head(CENTERNET, **NARROW, feat_channels=CHANNELS, test_cfg=everything)
    generator = torch.Generator().manual_seed(1)
    return head, (torch.randn(2, CHANNELS, CELLS, CELLS, generator=generator),)


def centernet_output(head, features):
    heatmaps, sizes, offsets = random_output(head(features), 3.0, 5.0, 1.0)
    return ([level.sigmoid() for level in heatmaps], [level.abs() for level in sizes], offsets)


class Centernet:
    """CenterNet's head, asked for its predictions as other heads are."""

    test_cfg = None

    def __init__(self, head):
        self.head = head

    def predict_by_feat(self, *raw, batch_img_metas, cfg, rescale):
        size = 4 * CELLS
        metas = [
            meta | dict(batch_input_shape=(size, size), border=(0, size, 0, size))
            for meta in batch_img_metas
        ]
        return self.head.predict_by_feat(*raw, batch_img_metas=metas, rescale=rescale)


@pytest.mark.parametrize("config", YOLOX)
def test_everything_yolox_predicts_is_found_in_the_dense_predictions(config):
    head, features = yolox(config)
    raw = random_output(head(features), 2.0, 1.0, 2.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_everything_centernet_predicts_is_found_in_the_dense_predictions():
    head, features = centernet()
    raw = centernet_output(head, features)
    assert_predictions_found(Centernet(head), raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_every_number_of_a_box():
    head, features = yolox()
    cls_grads, box_grads, objectness_grads = box_gradients(
        head, random_output(head(features), 1.0, 0.5, 1.0)
    )
    assert all((level != 0).all() for level in box_grads)
    assert all((level == 0).all() for level in (*cls_grads, *objectness_grads))

    head, features = centernet()
    heatmap_grads, *box_grads = box_gradients(head, centernet_output(head, features))
    assert all((level != 0).all() for item in box_grads for level in item)
    assert all((level == 0).all() for level in heatmap_grads)


def test_layouts_are_those_of_points_in_the_corner_of_a_cell():
    rtmdet = build_head("rtmdet/rtmdet_l_8xb32-300e_coco.py", **NORMED_TOWER)
    layouts = [build_adapter(head).prior_layout for head in (yolox()[0], rtmdet, centernet()[0])]
    assert layouts[0] == layouts[1] != layouts[2]


def test_output_of_another_form_is_refused():
    for (head, features), names in (
        (yolox(), "class logits, boxes, objectness"),
        (centernet(), "heatmaps, sizes, offsets"),
    ):
        raw = head(features)
        for output in (raw[:2], raw[::-1], None):
            with pytest.raises(UnsupportedHeadError, match=rf"another form.*\({names}\)"):
                build_adapter(head)(output)
