import pytest
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import CHANNELS, CLASSES, NORM, build_head, head_inputs, random_output

from tbd.predictions import UnsupportedHeadError, build_adapter

pytestmark = pytest.mark.openmmlab

CONFIGS = (
    "yolo/yolov3_d53_8xb8-ms-608-273e_coco.py",
    "yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py",
)


def head_and_features(config=CONFIGS[0]):
    width = [CHANNELS] * 3
    head = build_head(
        config, num_classes=CLASSES, in_channels=width, out_channels=width, norm_cfg=NORM
    )
    return head, head_inputs(head, (32, 16, 8), 64)


@pytest.mark.parametrize("config", CONFIGS)
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(config):
    head, features = head_and_features(config)
    raw = random_output(head(features), 1.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_their_channels_alone():
    head, features = head_and_features()
    (grads,) = box_gradients(head, random_output(head(features), 1.0))
    for level in grads:
        anchors = level.unflatten(1, (3, 5 + CLASSES))
        assert (anchors[:, :, :4] != 0).all()
        assert (anchors[:, :, 4:] == 0).all()


def test_reading_leaves_the_output_as_it_is():
    head, features = head_and_features()
    raw = random_output(head(features), 1.0)
    before = [level.clone() for level in raw[0]]
    assert build_adapter(head)(raw).boxes
    torch.testing.assert_close(raw[0], before, rtol=0, atol=0)


def test_layouts_differ_between_anchors():
    head, _ = head_and_features()
    layout = build_adapter(head).prior_layout
    assert layout == build_adapter(head_and_features(CONFIGS[1])[0]).prior_layout
    generator = head.prior_generator
    generator.base_sizes[0][0] = (100, 100)
    generator.base_anchors = generator.gen_base_anchors()
    assert layout != build_adapter(head).prior_layout


def test_output_of_another_form_is_refused():
    head, features = head_and_features()
    (maps,) = head(features)
    for output in (maps, (maps, maps), ([level[:, 1:] for level in maps],)):
        with pytest.raises(UnsupportedHeadError, match=r"objectness and class logits"):
            build_adapter(head)(output)
