import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from tbd.compat.ssd import mend_ssd_prediction

pytestmark = pytest.mark.openmmlab


def ssd_head(head_class=SSDHead):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = head_class(
            in_channels=(4, 4),
            num_classes=2,
            anchor_generator=dict(
                type="SSDAnchorGenerator",
                scale_major=False,
                input_size=64,
                min_sizes=[12, 24],
                max_sizes=[24, 48],
                strides=[16, 32],
                ratios=[[2], [2]],
            ),
            test_cfg=ConfigDict(
                nms_pre=100,
                min_bbox_size=0,
                score_thr=0.0,
                nms=dict(type="nms", iou_threshold=0.5),
                max_per_img=10,
            ),
        )
    return head.eval()


def test_ssd_predicts_the_foreground_probabilities_of_its_softmax():
    head = ssd_head()
    outputs = head((torch.randn(1, 4, 4, 4), torch.randn(1, 4, 2, 2)))
    metas = [dict(img_shape=(64, 64), scale_factor=(1.0, 1.0))]
    (found,) = head.predict_by_feat(*outputs, batch_img_metas=metas)
    logits = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 3) for level in outputs[0]])
    best = logits.softmax(1)[:, :-1].max()
    assert found.scores[0].item() == pytest.approx(best.item(), rel=1e-5)


def test_a_loss_of_a_subclass_stays_its_own():
    class OwnLoss(SSDHead):
        def __init__(self, **options):
            super().__init__(**options)
            self.loss_cls = nn.CrossEntropyLoss()

    assert isinstance(ssd_head(OwnLoss).loss_cls, nn.CrossEntropyLoss)


def test_mending_twice_changes_nothing():
    mended = SSDHead.__init__
    mend_ssd_prediction()
    assert SSDHead.__init__ is mended
