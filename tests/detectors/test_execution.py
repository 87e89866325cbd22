"""A teacher that runs faster teaches the same."""

import copy
from typing import Any

import pytest
import tiny
import torch
from device_waits import DeviceWaits
from probe_terms import probe, registered
from torch import nn
from transformers import transformer

from tbd.detectors.side_stream import SideStream
from tbd.distill import GroundTruth
from tbd.registry import MODELS

TERMS = {
    "tbd": tiny.wrapper()["distill"],
    "crosskd": dict(kd=dict(type="tbd.CrossHeadDistillation")),
    "pkd": dict(pkd=dict(type="tbd.PearsonFeatureDistillation")),
    "fgd": dict(fgd=dict(type="tbd.FocalGlobalDistillation")),
    "rois": dict(roi=dict(type="tbd.RoIDistillation")),
    "queries": dict(queries=dict(type="tbd.QueryDistillation")),
}


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


def with_batch_norms(config: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(config)
    backbone = tiny.backbone(config["backbone"]["base_channels"])
    indices = config["backbone"]["out_indices"]
    config["backbone"] = backbone | dict(norm_cfg=dict(type="BN"), out_indices=indices)
    return config


def pair(name: str) -> tuple[Any, Any]:
    if name == "rois":
        return tiny.faster_rcnn(), with_batch_norms(tiny.faster_rcnn(8, 16))
    if name == "queries":
        return transformer("deformable"), with_batch_norms(transformer("deformable", width=8))
    student, teacher = tiny.retinanet(stacked_convs=2), tiny.retinanet(8, 16, stacked_convs=2)
    return student, with_batch_norms(teacher)


def trained(detector: nn.Module) -> None:
    """Weights and statistics as no initialisation leaves them."""
    generator = torch.Generator().manual_seed(1)
    for key, tensor in detector.state_dict().items():
        if "running_var" in key:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
        elif tensor.is_floating_point() and "head" in key:
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))


def build(name: str = "tbd", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    student, teacher = pair(name)
    config = dict(student=student, teacher=teacher, distill=TERMS[name]) | options
    model = MODELS.build(tiny.wrapper(**config))
    model.init_weights()
    trained(model.teacher)
    trained(model.student)
    return model.train()


def losses(model: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    found = model(**tiny.batch(model), mode="loss")
    return {key: value for key, value in found.items() if "loss" in key and "." in key}


def assert_equal_losses(model: nn.Module, expected: nn.Module, tolerance: float = 1e-5) -> None:
    exact = losses(expected)
    assert exact
    # The first step prepares the teacher, the second runs it as it is prepared.
    for _ in range(2):
        for key, value in losses(model).items():
            torch.testing.assert_close(
                value,
                exact[key],
                rtol=tolerance,
                atol=tolerance,
                msg=f"{key}: {value} {exact[key]}",
            )


def norms(detector: nn.Module) -> list[str]:
    return [name for name, part in detector.named_modules() if isinstance(part, nn.BatchNorm2d)]


# --- folded norms -------------------------------------------------------------


@pytest.mark.parametrize("name", TERMS)
def test_folded_norms_change_no_loss(name):
    model, eager = build(name), build(name, teacher_execution=dict(fold_norms=False))
    assert norms(model.teacher)
    assert_equal_losses(model, eager)
    assert not norms(model.teacher)
    assert norms(eager.teacher)


def test_the_folded_teacher_predicts_what_it_did():
    model = build()
    inputs = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        before = model.teacher.bbox_head(model.teacher.extract_feat(inputs))
        losses(model)
        after = model.teacher.bbox_head(model.teacher.extract_feat(inputs))
    for one, other in zip(before, after, strict=True):
        for level, folded in zip(one, other, strict=True):
            torch.testing.assert_close(
                folded, level, rtol=1e-5, atol=1e-5 * float(level.abs().max())
            )


def test_until_the_first_batch_the_teacher_is_that_of_its_checkpoint(tmp_path):
    teacher = build().teacher
    expected = {key: value.clone() for key, value in teacher.state_dict().items()}
    torch.save(dict(state_dict=expected), tmp_path / "teacher.pth")
    _, config = pair("tbd")
    model = MODELS.build(
        tiny.wrapper(
            student=config,
            teacher=config,
            teacher_ckpt=str(tmp_path / "teacher.pth"),
            student_init="inherit",
        )
    )
    model.init_weights()
    assert all(torch.equal(model.teacher.state_dict()[key], expected[key]) for key in expected)
    assert torch.equal(
        model.student.bbox_head.retina_cls.weight, teacher.bbox_head.retina_cls.weight
    )
    keys = set(model.state_dict())
    losses(model.train())
    assert set(model.state_dict()) == keys


def test_convolutions_that_levels_share_with_norms_of_their_own_are_not_folded():
    config = tiny.retinanet(8, 16, type="RetinaSepBNHead", num_ins=3, stacked_convs=2)
    config["bbox_head"]["norm_cfg"] = dict(type="BN")
    options = dict(student=tiny.retinanet(), teacher=config)
    model, eager = (
        build(**options, teacher_execution=dict(fold_norms=fold)) for fold in (True, False)
    )
    assert_equal_losses(model, eager)
    assert norms(model.teacher) == norms(eager.teacher)


def test_a_convolution_whose_output_is_read_keeps_it():
    distill = probe("features", teacher_modules=["backbone.conv1"])
    model, eager = (
        build(distill=distill, teacher_execution=dict(fold_norms=fold)) for fold in (True, False)
    )
    for detector in (model, eager):
        losses(detector)
    seen, expected = (
        m.distill["probe"].seen[-1][1].outputs["backbone.conv1"][0] for m in (model, eager)
    )
    torch.testing.assert_close(seen, expected)
    assert norms(model.teacher) == ["backbone.bn1"]


# --- memory format and precision ----------------------------------------------


@pytest.mark.parametrize("name", TERMS)
def test_channels_last_changes_no_loss(name):
    model = build(
        name,
        teacher_execution=dict(channels_last=True),
        student_execution=dict(channels_last=True),
    )
    assert_equal_losses(model, build(name))
    for detector in (model.student, model.teacher):
        weight = detector.backbone.layer1[0].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", TERMS)
def test_a_teacher_in_bfloat16_is_read_in_float32(name):
    model = build(name, teacher_execution=dict(dtype="bf16"))
    assert_equal_losses(model, build(name), tolerance=0.1)
    assert model.teacher.backbone.conv1.weight.dtype == torch.bfloat16


def test_weights_beyond_float16_are_refused():
    model = build(teacher_execution=dict(dtype="fp16"))
    model.teacher.neck.lateral_convs[0].conv.weight.data[0] = 1e5
    with pytest.raises(ValueError, match=r"dtype='fp16'.*lateral_convs\.0.*1e\+05.*bf16"):
        losses(model)


def test_outputs_beyond_float16_are_refused():
    model = build(teacher_execution=dict(dtype="fp16"))
    model.teacher.neck.fpn_convs[0].conv.bias.data[:] = 6e4
    model.teacher.neck.fpn_convs[0].conv.weight.data[:] *= 1e4
    with pytest.raises(FloatingPointError, match=r"teacher_execution.dtype"):
        losses(model)


def test_a_teacher_in_full_precision_is_so_under_autocast():
    model = build(teacher_execution=dict(dtype="fp32"), distill=probe("features"))
    losses(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses(model)
    (_, exact), (_, mixed) = model.distill["probe"].seen
    assert all(torch.equal(a, b) for a, b in zip(exact.features, mixed.features, strict=True))


# --- only what is read ---------------------------------------------------------


def test_the_head_predicts_on_no_level_that_no_pair_uses():
    options = dict(level_map=[(0, 0), (1, 1)], distill=TERMS["tbd"])
    model, whole = build(**options), build(**options)
    whole._teacher._levels = None
    assert_equal_losses(model, whole)
    sizes = []
    model.teacher.bbox_head.retina_cls.register_forward_hook(
        lambda module, args, output: sizes.append(tuple(output.shape[2:]))
    )
    losses(model)
    assert sizes == [(8, 8), (4, 4), (1, 1)]


# --- compiled -------------------------------------------------------------------


def test_compiled_detectors_teach_the_same_and_each_shape_is_compiled_once(caplog):
    compiling = dict(compile=dict(backend="eager", max_shapes=1))
    model = build(teacher_execution=compiling, student_execution=compiling)
    eager = build()
    assert_equal_losses(model, eager)
    assert "forward" not in vars(model.student.backbone)
    sizes = [(96, 64), (96, 64)]
    torch.manual_seed(2)
    other, expected = (
        m(**tiny.batch(m, sizes=sizes), mode="loss")["hd.loss_harmony"] for m in (model, eager)
    )
    torch.testing.assert_close(other, expected, rtol=1e-5, atol=1e-5)
    assert model._compiled._shapes == [(2, 3, 64, 64)]
    # Three parts, once for the fixed shape and once for all others.
    assert len(model._compiled._compiled) == 6
    other.backward()
    assert copy.deepcopy(model)._compiled._forwards == {}


def test_a_part_inside_of_which_something_is_recorded_is_not_compiled():
    distill = probe("features", teacher_modules=["backbone.layer2"])
    model = build(distill=distill, teacher_execution=dict(compile=dict(backend="eager")))
    losses(model)
    assert model.distill["probe"].seen[-1][1].outputs["backbone.layer2"]
    compiled = [part for part, _ in model._teacher._compiled._forwards.values()]
    assert model.teacher.neck in compiled
    assert model.teacher.backbone not in compiled


@pytest.mark.slow
def test_compiled_by_inductor():
    model = build(teacher_execution=dict(compile=True))
    assert_equal_losses(model, build())


# --- a stream of its own ---------------------------------------------------------


def test_without_a_device_of_streams_work_runs_in_its_turn():
    stream = SideStream(True)
    assert stream.run(lambda: 3, torch.device("cpu")) == 3
    stream.join()
    assert_equal_losses(build(teacher_execution=dict(stream=True)), build())


def test_a_step_does_not_wait_for_the_teachers_device():
    options = dict(student=tiny.retinanet(), teacher=tiny.retinanet(8, 16))
    model = build(**options).to("meta")
    data = tiny.batch(build(**options))
    inputs = data["inputs"].to("meta")
    samples = [sample.to("meta") for sample in data["data_samples"]]
    with DeviceWaits() as waits:
        gt = GroundTruth.of(inputs, samples)
        view = model._teacher(inputs, samples, gt)
    assert view.predictions.boxes[0].device.type == "meta"
    assert waits.copies == []


# --- options ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(teacher_execution=dict(dtype="int8")), r"dtype='int8'.*fp32, bf16, fp16"),
        (dict(teacher_execution=dict(fold=True)), r"teacher_execution=.*fold_norms"),
        (dict(teacher_execution=dict(compile="fast")), r"compile\.mode='fast'"),
        (dict(student_execution=dict(compile=dict(max_shapes=8))), r"max_shapes=8"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
