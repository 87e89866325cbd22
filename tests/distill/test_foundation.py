import copy
import math
from dataclasses import replace

import pytest
import tiny
import torch
from distilled import feature_spec
from reference import reference, state_dict
from torch.nn.functional import interpolate
from torch.testing import assert_close

from tbd.distill import (
    NO_TEACHER,
    FoundationFeatureDistillation,
    InputSpec,
    UnsuitablePairError,
    cosine_feature_loss,
)
from tbd.modules import build_image_encoder
from tbd.registry import MODELS

BACKBONE = dict(
    type="ResNet",
    depth=18,
    base_channels=4,
    num_stages=4,
    out_indices=(3,),
    mean=[120.0, 110.0, 100.0],
    std=[60.0, 50.0, 40.0],
    allow_random=True,
)
TERM = dict(type="tbd.FoundationFeatureDistillation", encoder=BACKBONE)


def build(term=TERM, **options):
    torch.manual_seed(0)
    distill = dict(hd=None, tfd=None, foundation=term)
    model = MODELS.build(tiny.wrapper(distill=distill, **options))
    model.init_weights()
    return model.train()


def naive(feat_s, feat_t, weight):
    total, weights = 0.0, 0.0
    batch, _, height, width = feat_s.shape
    for n in range(batch):
        for y in range(height):
            for x in range(width):
                if weight[n, y, x] == 0:
                    continue
                a, b = feat_s[n, :, y, x].tolist(), feat_t[n, :, y, x].tolist()
                dot = sum(p * q for p, q in zip(a, b, strict=True))
                norms = math.hypot(*a) * math.hypot(*b)
                total += weight[n, y, x].item() * (1 - dot / norms)
                weights += weight[n, y, x].item()
    return total / max(weights, 1.0)


def test_loss_is_the_weighted_mean_of_one_minus_the_cosine():
    torch.manual_seed(0)
    feat_s, feat_t = (torch.randn(2, 5, 3, 4, dtype=torch.float64) for _ in range(2))
    weight = torch.rand(2, 3, 4, dtype=torch.float64)
    feat_s.requires_grad_()
    loss = cosine_feature_loss(feat_s, feat_t, weight)
    assert loss.item() == pytest.approx(naive(feat_s, feat_t, weight))
    assert torch.autograd.gradcheck(lambda f: cosine_feature_loss(f, feat_t, weight), feat_s)
    assert cosine_feature_loss(feat_s, 3 * feat_s.detach(), weight).item() == pytest.approx(0)
    assert cosine_feature_loss(feat_s, feat_t, 0 * weight) == 0
    with pytest.raises(ValueError, match=r"weight \[2, 3\]"):
        cosine_feature_loss(feat_s, feat_t, weight[:, :, 0])


def test_value_and_gradient_are_those_of_the_public_code():
    arrays = reference("foundation")
    spec = feature_spec("student", 6)
    term = FoundationFeatureDistillation(BACKBONE)
    term.encoder.channels = 7
    term.connect(replace(spec, images=InputSpec((0,) * 3, (1,) * 3, "rgb")), NO_TEACHER)
    term.double().projector.load_state_dict(state_dict(arrays))
    feat_s = arrays["feat_s"].requires_grad_()
    loss = cosine_feature_loss(term.project(feat_s), arrays["feat_t"], torch.ones(2, 5, 4))
    (gradient,) = torch.autograd.grad(loss, feat_s)
    torch.testing.assert_close(loss, arrays["loss"], rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, arrays["gradient"], rtol=1e-9, atol=1e-14)


def test_the_encoder_sees_the_students_pixels_as_it_normalises_them():
    preprocessor = tiny.preprocessor(bgr_to_rgb=False, mean=[1, 2, 3], std=[4, 5, 6])
    student = tiny.retinanet() | dict(data_preprocessor=preprocessor)
    model = build(student=student, teacher=None, allow_random_teacher=False)
    term = model.distill["foundation"]
    seen = []
    term.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    raw = tiny.samples(sizes=[(64, 64), (40, 48)])
    data = model.data_preprocessor(
        dict(
            inputs=[item["inputs"] for item in raw],
            data_samples=[item["data_samples"] for item in raw],
        ),
        training=True,
    )
    losses = model(**data, mode="loss")
    assert 0 < losses["foundation.loss_foundation"] < 2
    (inputs,) = seen
    for image, item in zip(inputs, raw, strict=True):
        pixels = item["inputs"].float().flip(0)
        mean, std = (torch.tensor(BACKBONE[key]).view(3, 1, 1) for key in ("mean", "std"))
        height, width = pixels.shape[1:]
        assert_close(image[:, :height, :width], (pixels - mean) / std, rtol=1e-4, atol=1e-4)
        assert image[:, height:].abs().sum() == 0
        assert image[:, :, width:].abs().sum() == 0


def test_padding_takes_no_part_and_other_sizes_are_brought_together():
    model = build(TERM | dict(level=0, input_size=(96, 128)))
    term = model.distill["foundation"]
    views = []
    term.register_forward_pre_hook(lambda _, args: views.append(args[0]))
    data = tiny.batch(model, sizes=[(64, 64), (24, 40)])
    loss = model(**data, mode="loss")["foundation.loss_foundation"]
    (student,) = views
    with torch.no_grad():
        feat_s = term.project(student.features[0])
        target = term._encode(student)
    assert target.shape[2:] == (3, 4)
    target = interpolate(target, feat_s.shape[2:], mode="bilinear", antialias=True)
    weight = torch.ones(2, 8, 8)
    weight[1, 3:] = 0
    weight[1, :, 5:] = 0
    assert loss.item() == pytest.approx(naive(feat_s, target, weight), rel=1e-4)


def test_the_encoder_is_kept_out_of_everything_that_trains_or_saves():
    model = build()
    term = model.distill["foundation"]
    assert not any("encoder" in name for name, _ in model.named_parameters())
    assert not any("encoder" in name for name in model.state_dict())
    before = copy.deepcopy(term.encoder.state_dict())
    losses = model(**tiny.batch(model), mode="loss")
    losses["foundation.loss_foundation"].backward()
    assert all(p.grad is None for p in term.encoder.parameters())
    assert not term.encoder.training
    assert all(torch.equal(value, before[key]) for key, value in term.encoder.state_dict().items())
    for part in (model.student.backbone, term.projector):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    duplicate = copy.deepcopy(model)
    assert duplicate.distill["foundation"].encoder is term.encoder
    duplicate.double()
    assert next(duplicate.distill["foundation"].encoder.parameters()).dtype == torch.float64
    assert next(term.encoder.parameters()).dtype == torch.float32


def test_a_detector_teacher_beside_it_rests_unless_a_term_reads_it():
    calls = []
    for terms, runs in ((dict(hd=None, tfd=None), 0), (dict(tfd=None), 1)):
        terms = tiny.wrapper()["distill"] | terms | dict(foundation=TERM)
        model = MODELS.build(tiny.wrapper(distill=terms)).train()
        calls.clear()
        model.teacher.backbone.register_forward_hook(lambda *_: calls.append(1))
        model(**tiny.batch(model), mode="loss")
        assert len(calls) == runs


def test_without_a_teacher_only_terms_with_their_own_are_accepted():
    with pytest.raises(UnsuitablePairError, match=r"distill\.hd: .*model\.teacher is None"):
        MODELS.build(tiny.wrapper(teacher=None))
    with pytest.raises(ValueError, match=r"model\.teacher is None, but teacher_ckpt='x\.pth'"):
        MODELS.build(tiny.wrapper(teacher=None, teacher_ckpt="x.pth", distill={}))
    model = build(teacher=None)
    with pytest.raises(ValueError, match=r"model\.teacher is None"):
        _ = model.teacher


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(level=3), r"level=3 is none of the student's 3 pyramid levels"),
        (dict(input_size=(60, 64)), r"input_size=\(60, 64\) must be .* stride 32"),
        (dict(encoder=BACKBONE | dict(allow_random=False)), "encoder has no weights"),
        (dict(encoder=dict(model="x")), "has no type"),
    ],
)
def test_what_does_not_suit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(TERM | changes)


def test_a_checkpoint_is_loaded_strictly(tmp_path):
    encoder = build_image_encoder(BACKBONE)
    weights = encoder.network.state_dict()
    torch.save(weights | {"fc.weight": torch.zeros(2, 2)}, tmp_path / "good.pth")
    options = BACKBONE | dict(allow_random=False)
    loaded = build_image_encoder(options | dict(checkpoint=str(tmp_path / "good.pth")))
    assert all(torch.equal(v, weights[k]) for k, v in loaded.network.state_dict().items())
    torch.save({k: v for k, v in weights.items() if k != "conv1.weight"}, tmp_path / "lacks.pth")
    with pytest.raises(ValueError, match=r"lacks 1 tensors, first conv1\.weight"):
        build_image_encoder(options | dict(checkpoint=str(tmp_path / "lacks.pth")))
    torch.save(weights | {"extra": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(ValueError, match="has besides 1 tensors, first extra"):
        build_image_encoder(options | dict(checkpoint=str(tmp_path / "more.pth")))


@pytest.mark.parametrize(
    ("model", "options", "stride", "size"),
    [
        ("vit_tiny_patch16_224", {}, 16, (64, 96)),
        ("vit_tiny_patch16_224", dict(img_size=64), 16, (64, 64)),
        ("resnet10t", {}, 32, (64, 96)),
        ("swin_tiny_patch4_window7_224", {}, 32, (224, 224)),
    ],
)
def test_models_of_timm_give_maps(model, options, stride, size):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    encoder = build_image_encoder(dict(type="timm", model=model, allow_random=True, **options))
    encoder.eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        features = encoder(images)
        raw = encoder.network.forward_features(images)
    assert encoder.stride == stride
    assert features.shape == (2, encoder.channels, size[0] // stride, size[1] // stride)
    config = timm.get_pretrained_cfg(model)
    assert encoder.mean == pytest.approx([255 * value for value in config.mean])
    # The feature in the second row and first column.
    if encoder.layout == "tokens":
        expected = raw[:, encoder.prefix_tokens + size[1] // stride]
    elif encoder.layout == "NHWC":
        expected = raw[:, 1, 0]
    else:
        expected = raw[:, :, 1, 0]
    assert torch.equal(features[:, :, 1, 0], expected)
    assert (encoder.input_size is not None) == (encoder.layout == "NHWC")
