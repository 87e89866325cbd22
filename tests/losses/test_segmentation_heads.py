"""Every segmentation loss trains MMDetection's mask head and semantic heads."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData, PixelData

from tbd.losses import binary_iou, multiclass_iou

LOSSES = {
    "dice": dict(type="tbd.DiceLoss"),
    "bce-dice": dict(type="tbd.BCEDiceLoss"),
    "jaccard": dict(type="tbd.JaccardLoss"),
    "focal": dict(type="tbd.BinaryFocalLoss"),
    "focal of the mean": dict(type="tbd.BinaryFocalLoss", pixelwise=False),
    "tversky": dict(type="tbd.TverskyLoss"),
    "focal tversky": dict(type="tbd.FocalTverskyLoss"),
    "lovasz hinge": dict(type="tbd.LovaszHingeLoss", per_image=False),
    "lovasz softmax": dict(type="tbd.LovaszSoftmaxLoss"),
    "combo": dict(type="tbd.ComboLoss"),
}


def train(parameters, compute, steps):
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        compute().backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "class_agnostic"), [*((name, False) for name in LOSSES), ("dice", True)]
)
def test_mask_head_learns(name, class_agnostic):
    torch.manual_seed(0)
    size, count = 32, 6
    masks = torch.zeros(count, size, size)
    for i in range(count):
        masks[i, 4 + i : 16 + 2 * i, 6 : 18 + i] = 1
    features = torch.cat([masks[:, None], torch.rand(count, 3, size, size)], dim=1)
    features = F.avg_pool2d(features, 2) + 0.1 * torch.randn(count, 4, 16, 16)
    head = MODELS.build(
        dict(
            type="mmdet.FCNMaskHead",
            num_convs=1,
            in_channels=4,
            conv_out_channels=8,
            num_classes=3,
            class_agnostic=class_agnostic,
            loss_mask=LOSSES[name],
        )
    )
    head.init_weights()
    whole = torch.tensor([0.0, 0, size, size]).expand(count, 4)
    labels = torch.arange(count) % 3
    sampled = SimpleNamespace(
        pos_priors=whole, pos_assigned_gt_inds=torch.arange(count), pos_gt_labels=labels
    )
    instances = InstanceData(masks=BitmapMasks(masks.byte().numpy(), size, size))

    def loss(chosen=sampled, x=features):
        found = head.loss_and_target(head(x), [chosen], [instances], ConfigDict(mask_size=size))
        return found["loss_mask"]["loss_mask"]

    def iou():
        channel = torch.zeros_like(labels) if class_agnostic else labels
        predicted = head(features)[torch.arange(count), channel] > 0
        return binary_iou(predicted, masks)

    before = iou()
    train(head.parameters(), loss, steps=120)
    assert iou() > before + 0.4

    none = SimpleNamespace(
        pos_priors=whole[:0], pos_assigned_gt_inds=labels[:0], pos_gt_labels=labels[:0]
    )
    value = loss(none, features[:0])
    value.backward()
    assert value == 0


def scene():
    """Features of two levels and a map of 4 labels, padded on the right."""
    torch.manual_seed(1)
    labels = torch.full((2, 1, 32, 32), 3)
    labels[0, :, 4:14, 4:12], labels[0, :, 16:28, 4:20] = 0, 1
    labels[1, :, 10:24, 6:22], labels[1, :, 2:8, 2:20] = 2, 0
    coded = F.one_hot(labels[:, 0], 4).movedim(-1, 1).float()
    labels[..., 24:] = 255
    fine = F.avg_pool2d(coded, 4) + 0.1 * torch.randn(2, 4, 8, 8)
    return [fine, F.avg_pool2d(fine, 2)], labels


@pytest.mark.parametrize("name", LOSSES)
def test_fused_semantic_head_learns(name):
    features, labels = scene()
    head = MODELS.build(
        dict(
            type="mmdet.FusedSemanticHead",
            num_ins=2,
            fusion_level=0,
            seg_scale_factor=1 / 4,
            num_convs=1,
            in_channels=4,
            conv_out_channels=8,
            num_classes=4,
            loss_seg=LOSSES[name] | dict(ignore_index=255),
        )
    )
    head.init_weights()
    truth = labels[:, 0, ::4, ::4]

    def miou():
        predicted = head(features)[0].argmax(1)
        return multiclass_iou(predicted, truth, 4, ignore_index=255).mean()

    before = miou()
    train(head.parameters(), lambda: head.loss(head(features)[0], labels), steps=120)
    assert miou() > before + 0.4


@pytest.mark.parametrize("name", LOSSES)
def test_panoptic_fpn_head_learns(name):
    features, labels = scene()
    head = MODELS.build(
        dict(
            type="mmdet.PanopticFPNHead",
            num_things_classes=2,
            num_stuff_classes=2,
            in_channels=4,
            inner_channels=8,
            end_level=2,
            norm_cfg=dict(type="GN", num_groups=2),
            loss_seg=LOSSES[name] | dict(ignore_index=255),
        )
    )
    head.init_weights()
    samples = [DetDataSample(gt_sem_seg=PixelData(sem_seg=found)) for found in labels]
    # The head counts stuff from 0 and merges all things into the last class.
    truth = torch.tensor([2, 2, 0, 1])[labels[:, 0, ::4, ::4].clamp(max=3)]
    truth[labels[:, 0, ::4, ::4] == 255] = 255

    def miou():
        predicted = head(features)["seg_preds"].argmax(1)
        return multiclass_iou(predicted, truth, 3, ignore_index=255).mean()

    before = miou()
    train(head.parameters(), lambda: head.loss(features, samples)["loss_seg"], steps=120)
    assert miou() > before + 0.4
