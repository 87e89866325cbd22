import pytest
import torch
from mmdet.models.losses import DIoULoss, GIoULoss
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from tiny import batch, faster_rcnn, retinanet, wrapper
from tiny_run import config_dict, write_config, write_data
from torch import nn

import tbd.losses
from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.engine import train
from tbd.engine.export import plain_config, write_student
from tbd.engine.plain_model import plain_model
from tbd.registry import MODELS as OUR_MODELS

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
    own = plain_model(config)
    assert "tbd" not in str(own)
    assert str(config) == before
    plain = build_detector(own).eval()
    plain.load_state_dict(whole.state_dict(), strict=True)
    expected, found = (model(**batch(model), mode="predict") for model in (whole, plain))
    for one, two in zip(expected, found, strict=True):
        assert len(one.pred_instances) > 0
        for key in ("bboxes", "scores", "labels"):
            assert torch.equal(one.pred_instances[key], two.pred_instances[key])


def test_mask_and_segmentation_losses_become_the_heads_own():
    heads = [
        dict(type="FCNMaskHead", loss_mask=dict(type="tbd.DiceLoss", loss_weight=3.0)),
        dict(type="FusedSemanticHead", loss_seg=dict(type="tbd.LovaszSoftmaxLoss")),
    ]
    plain = plain_model(resolve_model_config(dict(type="MaskRCNN", roi_head=dict(m=heads))))
    assert plain.roi_head.m[0].loss_mask == dict(type="CrossEntropyLoss", use_mask=True)
    assert plain.roi_head.m[1].loss_seg == dict(type="CrossEntropyLoss", use_sigmoid=False)


@pytest.fixture
def box_loss(monkeypatch):
    """Make a detector with a box loss of our scope that declares what it is given."""

    def declare(**attributes):
        own = type("OwnBoxLoss", (GIoULoss,), attributes)
        monkeypatch.setitem(OUR_MODELS.module_dict, "OwnBoxLoss", own)
        head = dict(reg_decoded_bbox=True, loss_bbox=dict(type="tbd.OwnBoxLoss", loss_weight=2.0))
        return resolve_model_config(retinanet(**head))

    return declare


def test_a_box_loss_becomes_the_one_that_it_names_with_its_weight(box_loss):
    config = box_loss(plain_loss="DIoULoss")
    plain = plain_model(config)
    assert plain.bbox_head.loss_bbox == dict(type="DIoULoss", loss_weight=2.0)
    assert type(build_detector(plain).bbox_head.loss_bbox) is DIoULoss
    assert config.bbox_head.loss_bbox.type == "tbd.OwnBoxLoss"


def test_a_box_loss_that_names_none_stays_and_is_reported(box_loss, tmp_path):
    config = box_loss()
    cfg = Config(dict(model=config, custom_imports=dict(imports=["tbd"])))
    plain = plain_config(cfg, config)
    assert plain.model.bbox_head.loss_bbox == dict(type="tbd.OwnBoxLoss", loss_weight=2.0)
    assert plain.custom_imports.imports == ["tbd"]
    report = write_student(dict(state_dict={}), plain, tmp_path, "student")
    assert "it still needs tbd for model.bbox_head.loss_bbox" in report


def test_every_loss_of_the_package_says_what_it_becomes():
    own = [getattr(tbd.losses, name) for name in tbd.losses.__all__]
    losses = [cls for cls in own if isinstance(cls, type) and issubclass(cls, nn.Module)]
    assert losses
    for cls in losses:
        assert MODELS.get(cls.plain_loss) is not None, cls


@pytest.mark.slow
def test_a_distilled_student_with_this_head_is_exported_plain(tmp_path):
    write_data(tmp_path / "data")
    model = wrapper(student=with_loss(PHASED), teacher=faster_rcnn(width=8, channels=16))
    content = config_dict(tmp_path / "data", model, epochs=2)
    content["custom_hooks"] = [
        dict(type="tbd.ClassCountsHook", min_count=1),
        dict(type="tbd.LossPhaseHook", epoch=1),
    ]
    # An influence-balanced loss of untrained weights is thirty times the cross entropy.
    content["optim_wrapper"]["clip_grad"] = dict(max_norm=1.0)
    train(write_config(tmp_path / "run.py", content), str(tmp_path / "work"))
    config = Config.fromfile(str(tmp_path / "work/student.py"))
    assert "tbd" not in config.pretty_text
    assert config.model.roi_head.bbox_head.type == "Shared2FCBBoxHead"
    weights = torch.load(tmp_path / "work/student.pth", weights_only=True)["state_dict"]
    MODELS.build(config.model).load_state_dict(weights, strict=True)
