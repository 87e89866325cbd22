import itertools
import math

import pytest
import tiny
import torch
import torch.distributed as dist
from reference import reference
from torch import multiprocessing
from views import view

from tbd.distill import DetectorSpec, pearson_feature_loss
from tbd.registry import MODELS

PKD = dict(hd=None, tfd=None, pkd=dict(type="tbd.PearsonFeatureDistillation", loss_weight=2.0))


def detr(width=4, embed=8):
    """A Deformable DETR of one layer on the tiny backbone."""
    attention = dict(embed_dims=embed, num_heads=2, batch_first=True)
    sampling = attention | dict(num_levels=3, num_points=2)
    feedforward = dict(embed_dims=embed, feedforward_channels=embed, ffn_drop=0.0)
    return dict(
        type="DeformableDETR",
        num_queries=10,
        num_feature_levels=3,
        data_preprocessor=tiny.preprocessor(),
        backbone=tiny.backbone(width) | dict(out_indices=(1, 2, 3)),
        neck=dict(
            type="ChannelMapper",
            in_channels=[2 * width, 4 * width, 8 * width],
            kernel_size=1,
            out_channels=embed,
            act_cfg=None,
            norm_cfg=dict(type="GN", num_groups=2),
            num_outs=3,
        ),
        encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=sampling, ffn_cfg=feedforward)),
        decoder=dict(
            num_layers=1,
            return_intermediate=True,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=sampling, ffn_cfg=feedforward),
            post_norm_cfg=None,
        ),
        positional_encoding=dict(num_feats=embed // 2, normalize=True, offset=-0.5),
        bbox_head=dict(
            type="DeformableDETRHead",
            num_classes=3,
            embed_dims=embed,
            loss_cls=dict(type="FocalLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss"),
            loss_iou=dict(type="GIoULoss"),
        ),
        train_cfg=dict(
            assigner=dict(
                type="HungarianAssigner",
                match_costs=[
                    dict(type="FocalLossCost", weight=2.0),
                    dict(type="BBoxL1Cost", weight=5.0, box_format="xywh"),
                    dict(type="IoUCost", iou_mode="giou", weight=2.0),
                ],
            )
        ),
        test_cfg=dict(max_per_img=10),
    )


def build(student, teacher, distill=PKD):
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(student=student, teacher=teacher, distill=distill))
    model.init_weights()
    return model.train()


def random_features(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The second: the smallest level with a deviation, of one channel.
@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (1, 1, 1, 2)])
def test_loss_is_one_minus_pearsons_correlation_of_the_channels(shape):
    student, teacher = random_features(0, *shape), 7 * random_features(1, *shape) + 3
    student = student - 0.8 * teacher
    correlations = [
        torch.corrcoef(torch.stack([student[:, c].flatten(), teacher[:, c].flatten()]))[0, 1]
        for c in range(shape[1])
    ]
    values = student[:, 0].numel()
    expected = (values - 1) / values * (1 - torch.stack(correlations).mean())
    assert expected > 0.1
    torch.testing.assert_close(pearson_feature_loss(student, teacher), expected)


def test_value_and_gradient_equal_the_formula_in_loops():
    student, teacher = random_features(0, 2, 3, 3, 2), 7 * random_features(1, 2, 3, 3, 2) + 3

    def in_loops(features):
        total = 0.0
        for channel in range(3):
            columns = []
            for maps in (features, teacher):
                values = maps[:, channel].flatten().tolist()
                mean = sum(values) / len(values)
                variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
                columns.append([(value - mean) / math.sqrt(variance) for value in values])
            total += sum((s - t) ** 2 for s, t in zip(*columns, strict=True))
        return total / (2 * student.numel())

    student.requires_grad_()
    loss = pearson_feature_loss(student, teacher)
    assert loss.item() == pytest.approx(in_loops(student.detach()), rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, student)
    for index in itertools.product(range(2), range(3), range(3), range(2)):
        values = []
        for sign in (1, -1):
            moved = student.detach().clone()
            moved[index] += sign * 1e-6
            values.append(in_loops(moved))
        expected = (values[0] - values[1]) / 2e-6
        assert gradient[index].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_magnitude_does_not_count_and_opposite_features_are_farthest():
    features = random_features(0, 2, 3, 4, 4)
    assert pearson_feature_loss(5 * features + 2, features).item() == pytest.approx(0, abs=1e-9)
    farthest = 2 * (2 * 4 * 4 - 1) / (2 * 4 * 4)
    assert pearson_feature_loss(-features, features).item() == pytest.approx(farthest, rel=1e-6)


def test_value_and_gradient_are_those_of_the_public_code():
    expected = reference("pearson")
    feat_s = expected["feat_s"].requires_grad_()
    loss = pearson_feature_loss(feat_s, expected["feat_t"])
    (gradient,) = torch.autograd.grad(loss, feat_s)
    torch.testing.assert_close(loss, expected["loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, expected["gradient"], rtol=1e-5, atol=1e-8)


def test_a_single_location_has_no_deviation_and_costs_nothing():
    feat_s = torch.randn(1, 4, 1, 1, requires_grad=True)
    loss = pearson_feature_loss(feat_s, torch.randn(1, 4, 1, 1))
    loss.backward()
    assert loss == 0
    assert (feat_s.grad == 0).all()


def test_half_precision_is_compared_in_float32():
    term = MODELS.build(PKD["pkd"])
    spec = DetectorSpec("student", "Detector", "neck", (4,), ((8, 8),), None)
    term.connect(spec, spec)
    halves = [view(features=(random_features(i, 2, 4, 3, 3).half(),)) for i in range(2)]
    assert term(*halves)["loss_feature"].dtype == torch.float32


def one_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(own_gradient(slice(2 * rank, 2 * rank + 2)), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def own_gradient(images):
    # Images of very different spread, so that a mean of the ranks' losses would differ.
    spread = torch.tensor([0.1, 1, 5, 9])[:, None, None, None]
    feat_s = (spread * random_features(0, 4, 3, 5, 4))[images].requires_grad_()
    feat_t = random_features(1, 4, 3, 5, 4)[images]
    loss = pearson_feature_loss(feat_s, feat_t, sync_statistics=True)
    return torch.autograd.grad(loss, feat_s)[0]


@pytest.mark.slow
def test_with_synchronised_statistics_two_ranks_learn_as_one_with_both_batches(tmp_path):
    multiprocessing.spawn(one_rank, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    # DistributedDataParallel averages the ranks' gradients.
    torch.testing.assert_close(torch.cat(ranks) / 2, own_gradient(slice(None)))


def test_gradient_is_finite_where_a_channel_is_constant():
    constant = torch.ones(2, 3, 4, 4, requires_grad=True)
    pearson_feature_loss(constant, torch.randn(2, 3, 4, 4)).backward()
    assert constant.grad.isfinite().all()
    varied = random_features(0, 2, 2, 3, 3).requires_grad_()
    teacher = random_features(1, 2, 2, 3, 3)
    assert torch.autograd.gradcheck(lambda f: pearson_feature_loss(f, teacher), varied)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 2, 3, 3\].*\[1, 2, 3, 4\]"):
        pearson_feature_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("student", "teacher"),
    [(detr(), detr(8, 16)), (tiny.retinanet(), detr(8, 16)), (detr(), tiny.retinanet(8, 16))],
    ids=["detr <- detr", "retinanet <- detr", "detr <- retinanet"],
)
def test_detectors_without_a_dense_head_are_distilled(student, teacher):
    model = build(student, teacher)
    losses = model(**tiny.batch(model), mode="loss")
    losses["pkd.loss_feature"].backward()
    assert 0 < losses["pkd.loss_feature"] < 2 * 3 * 2
    for part in (model.student.backbone, model.student.neck, model.distill):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert all(p.grad is None for p in model.teacher.parameters())


@pytest.mark.parametrize(
    ("role", "student", "teacher"),
    [("student", detr(), tiny.retinanet(8, 16)), ("teacher", tiny.retinanet(), detr(8, 16))],
)
def test_harmony_distillation_says_that_there_is_no_dense_head(role, student, teacher):
    terms = dict(hd=dict(type="tbd.HarmonyDistillation"))
    message = (
        rf"distill\.hd: .*needs dense predictions, which the {role} does not give: DeformableDETR "
        r"has no dense head.*bbox_head is a DeformableDETRHead.*terms that compare features"
    )
    with pytest.raises(ValueError, match=message):
        build(student, teacher, terms)
