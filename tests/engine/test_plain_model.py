import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from tiny import batch, faster_rcnn, retinanet, wrapper
from tiny_run import config_dict, write_config, write_data

from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.engine import train
from tbd.engine.plain_model import plain_model

PHASED = dict(
    type="tbd.TwoPhaseLoss",
    first=dict(type="CrossEntropyLoss"),
    second=dict(type="tbd.InfluenceBalancedLoss", class_counts="auto"),
)


def with_loss(loss, head="tbd.InfluenceBalancedBBoxHead"):
    config = faster_rcnn()
    config["roi_head"]["bbox_head"].update(type=head, loss_cls=loss)
    return config


@pytest.mark.parametrize(
    "config",
    [
        with_loss(PHASED),
        with_loss(dict(type="tbd.SoftmaxFocalLoss", gamma=2.0), head="Shared2FCBBoxHead"),
        # The number of logits of an anchor head follows from how its loss reads them.
        retinanet(loss_cls=dict(type="tbd.SoftmaxFocalLoss", gamma=2.0)),
    ],
)
def test_predictions_and_weights_stay(config):
    register_all_modules()
    config = resolve_model_config(config)
    before = str(config)
    torch.manual_seed(0)
    whole = build_detector(config).eval()
    plain_config = plain_model(config)
    assert "tbd" not in str(plain_config)
    assert str(config) == before
    plain = build_detector(plain_config).eval()
    plain.load_state_dict(whole.state_dict(), strict=True)
    expected, found = (model(**batch(model), mode="predict") for model in (whole, plain))
    for one, two in zip(expected, found, strict=True):
        assert len(one.pred_instances) > 0
        for key in ("bboxes", "scores", "labels"):
            assert torch.equal(one.pred_instances[key], two.pred_instances[key])


def test_mask_losses_become_the_mask_heads_own():
    mask_head = dict(type="FCNMaskHead", loss_mask=dict(type="tbd.DiceLoss"))
    plain = plain_model(resolve_model_config(dict(type="MaskRCNN", roi_head=dict(m=[mask_head]))))
    assert plain.roi_head.m[0].loss_mask == dict(type="CrossEntropyLoss", use_mask=True)


@pytest.mark.slow
def test_a_distilled_student_with_this_head_is_exported_plain(tmp_path):
    write_data(tmp_path / "data")
    model = wrapper(student=with_loss(PHASED), teacher=faster_rcnn(width=8, channels=16))
    content = config_dict(tmp_path / "data", model, epochs=2)
    content["custom_hooks"] = [
        dict(type="tbd.ClassCountsHook", min_count=1),
        dict(type="tbd.LossPhaseHook", epoch=1),
    ]
    train(write_config(tmp_path / "run.py", content), str(tmp_path / "work"))
    config = Config.fromfile(str(tmp_path / "work/student.py"))
    assert "tbd" not in config.pretty_text
    assert config.model.roi_head.bbox_head.type == "Shared2FCBBoxHead"
    weights = torch.load(tmp_path / "work/student.pth", weights_only=True)["state_dict"]
    MODELS.build(config.model).load_state_dict(weights, strict=True)
