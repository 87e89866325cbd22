import copy
import gc
import weakref
from collections import Counter

import pytest
import tiny
import torch
from mmdet.engine.hooks import NumClassCheckHook, SetEpochInfoHook, YOLOXModeSwitchHook
from mmdet.models.detectors import SingleStageDetector
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from torch import nn

from tbd.detectors import build_detector, resolve_model_config
from tbd.registry import MODELS

PAIRS = {
    "retinanet": (tiny.retinanet(), tiny.retinanet(width=8, channels=16)),
    "faster-rcnn": (tiny.faster_rcnn(), tiny.faster_rcnn(width=8, channels=16)),
}


def build(**options):
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(**options))
    model.init_weights()
    return model.train()


@pytest.fixture
def model():
    return build()


def pair(name, **options):
    student, teacher = PAIRS[name]
    return build(student=student, teacher=teacher, **options)


def total(losses):
    return sum(
        part.sum()
        for key, value in losses.items()
        if "loss" in key
        for part in (value if isinstance(value, list) else [value])
    )


def weights(loss_weight):
    return dict(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=loss_weight),
        tfd=dict(type="tbd.TaskDecoupledFeatureDistillation", loss_weight=loss_weight),
    )


def train_steps(model, steps=3):
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    for _ in range(steps):
        data = tiny.samples()
        model.train_step(
            dict(
                inputs=[item["inputs"] for item in data],
                data_samples=[item["data_samples"] for item in data],
            ),
            optimizer,
        )


# --- one step ---------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_each_part_runs_once_and_the_teacher_stops_at_its_dense_head(name):
    model = pair(name)
    calls = Counter()
    for role in ("student", "teacher"):
        for part, module in getattr(model, role).named_children():
            module.register_forward_hook(
                lambda *_, key=f"{role}.{part}": calls.update([key]) or None
            )
    model.loss(**renamed(tiny.batch(model)))
    head = "rpn_head" if name == "faster-rcnn" else "bbox_head"
    for role in ("student", "teacher"):
        assert [calls[f"{role}.{part}"] for part in ("backbone", "neck", head)] == [1, 1, 1]
    assert calls["teacher.roi_head"] == 0


def renamed(data):
    return dict(batch_inputs=data["inputs"], batch_data_samples=data["data_samples"])


def test_teacher_neither_assigns_labels_nor_suppresses(model, monkeypatch):
    for method in ("loss", "loss_by_feat", "predict", "predict_by_feat"):
        monkeypatch.setattr(model.teacher.bbox_head, method, None)
    assert total(model(**tiny.batch(model), mode="loss")).isfinite()


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_reach_every_part_of_the_student_and_none_of_the_teacher(name):
    model = pair(name)
    losses = model(**tiny.batch(model), mode="loss")
    sum(
        value for key, value in losses.items() if key.startswith(("hd.loss", "tfd.loss"))
    ).backward()
    head = "rpn_head" if name == "faster-rcnn" else "bbox_head"
    for part in ("backbone", "neck", head):
        grads = [p.grad for p in getattr(model.student, part).parameters() if p.grad is not None]
        assert any(grad.abs().sum() > 0 for grad in grads), part
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.distill.parameters())


@pytest.mark.parametrize("name", PAIRS)
def test_students_own_losses_are_unchanged(name):
    model = pair(name)
    data = tiny.batch(model)
    torch.manual_seed(1)
    with_terms = model(**copy.deepcopy(data), mode="loss")
    torch.manual_seed(1)
    plain = model.student(**copy.deepcopy(data), mode="loss")
    for key, value in plain.items():
        torch.testing.assert_close(with_terms[key], value, rtol=0, atol=0)
    assert {"hd.loss_harmony", "tfd.loss_cls_feature", "tfd.loss_loc_feature"} <= set(with_terms)


@pytest.mark.parametrize("name", PAIRS)
def test_zero_weight_is_bit_identical_to_plain_training(name):
    torch.manual_seed(0)
    plain = build_detector(resolve_model_config(PAIRS[name][0]))
    plain.init_weights()
    train_steps(plain.train())
    distilled = pair(name, distill=weights(0.0))
    train_steps(distilled)
    expected = plain.state_dict()
    result = distilled.student.state_dict()
    assert all(torch.equal(result[key], expected[key]) for key in expected)
    # The same comparison sees a difference where there is one.
    other = pair(name, distill=weights(1.0))
    train_steps(other)
    assert any(not torch.equal(other.student.state_dict()[k], expected[k]) for k in expected)


def test_nothing_of_a_step_outlives_it(model):
    alive = []
    handle = model.student.neck.register_forward_hook(
        lambda module, args, output: alive.extend(weakref.ref(level) for level in output)
    )
    losses = model(**tiny.batch(model), mode="loss")
    total(losses).backward()
    handle.remove()
    del losses
    gc.collect()
    assert alive
    assert all(reference() is None for reference in alive)
    assert not model.student.neck._forward_hooks
    assert not model.student.bbox_head._forward_hooks


def test_hooks_are_removed_when_the_student_fails(model, monkeypatch):
    monkeypatch.setattr(model.student.bbox_head, "loss_by_feat", None)
    with pytest.raises(TypeError):
        model(**tiny.batch(model), mode="loss")
    assert not model.student.neck._forward_hooks


def test_terms_are_float32_under_autocast(model):
    data = tiny.batch(model)
    seen = {}

    def spy(module, args):
        seen["autocast"] = torch.is_autocast_enabled("cpu")

    model.distill["hd"].register_forward_pre_hook(spy)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(**data, mode="loss")
    assert seen["autocast"] is False
    for key in ("hd.loss_harmony", "tfd.loss_cls_feature"):
        assert losses[key].dtype == torch.float32
    reference = model(**data, mode="loss")
    torch.testing.assert_close(
        losses["hd.loss_harmony"], reference["hd.loss_harmony"], rtol=0.1, atol=1e-3
    )


# --- ground truth and teacher out of the ordinary ---------------------------


def without_boxes(data, index):
    data["data_samples"][index].gt_instances = data["data_samples"][index].gt_instances[:0]


@pytest.mark.parametrize("empty", [[0], [0, 1]])
def test_images_without_ground_truth(model, empty):
    data = tiny.batch(model)
    for index in empty:
        without_boxes(data, index)
    losses = model(**data, mode="loss")
    total(losses).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert (losses["hd.loss_harmony"] == 0) == (len(empty) == 2)


def test_ground_truth_outside_the_image_is_never_matched(model):
    data = tiny.batch(model)
    for sample in data["data_samples"]:
        sample.gt_instances.bboxes += 10_000
    losses = model(**data, mode="loss")
    assert losses["hd.loss_harmony"] == 0
    assert losses["tfd.loss_loc_feature"] == 0


def test_nan_in_the_teacher_is_an_error_that_names_the_image(model):
    data = tiny.batch(model)
    data["inputs"][1, 0, 0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"teacher's neck .* image_1\.jpg"):
        model(**data, mode="loss")


# --- what the teacher stays out of, and what it follows ---------------------


def test_teacher_is_in_no_parameter_buffer_module_or_checkpoint(model):
    teacher = {id(t) for t in (*model.teacher.parameters(), *model.teacher.buffers())}
    own = {id(t) for t in (*model.parameters(), *model.buffers(), *model.state_dict().values())}
    assert teacher
    assert not teacher & own
    assert not set(model.teacher.modules()) & set(model.modules())
    assert {key.split(".")[0] for key in model.state_dict()} == {"student", "distill"}
    assert {key.split(".")[0] for key, _ in model.named_parameters()} == {"student", "distill"}


def test_train_returns_the_module_and_leaves_the_teacher_in_eval_mode(model):
    model.teacher.train()
    assert model.train() is model
    assert model.student.training
    assert not any(module.training for module in model.teacher.modules())
    model.teacher.train()
    model(**tiny.batch(model), mode="loss")
    assert not any(module.training for module in model.teacher.modules())


@pytest.mark.parametrize("through_parent", [False, True])
def test_teacher_follows_dtype_and_device(model, through_parent):
    mover = nn.Sequential(model) if through_parent else model
    mover.half()
    assert next(model.teacher.parameters()).dtype == torch.float16
    mover.to(torch.float64)
    assert next(model.teacher.parameters()).dtype == torch.float64
    mover.to("meta")
    assert next(model.teacher.parameters()).device.type == "meta"


@pytest.mark.parametrize("generator", ["mlp", "recurrent"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_is_distilled_with_terms_in_float32(dtype, generator):
    terms = dict(
        hd=dict(type="tbd.HarmonyDistillation"),
        tfd=dict(
            type="tbd.TaskDecoupledFeatureDistillation",
            weight_generator=dict(type="tbd.RecurrentTaskWeightGenerator", num_levels=3)
            if generator == "recurrent"
            else "mlp",
        ),
        mgd=dict(type="tbd.MaskedGenerativeDistillation"),
    )
    model = MODELS.build(tiny.wrapper(distill=terms)).to(dtype)
    data = tiny.batch(model)
    losses = model.loss(data["inputs"].to(dtype), data["data_samples"])
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert {parameter.dtype for parameter in model.distill.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in model.student.parameters()} == {dtype}
    generator = model.terms["tfd"].weight_generator
    assert all(parameter.grad.isfinite().all() for parameter in generator.parameters())
    model.double()
    assert {parameter.dtype for parameter in model.distill.parameters()} == {torch.float64}


def test_copies_share_the_teacher_until_one_of_them_changes_it(model):
    duplicate = copy.deepcopy(model)
    assert duplicate.teacher is model.teacher
    assert duplicate.student is not model.student
    duplicate.to("cpu")
    assert duplicate.teacher is model.teacher
    duplicate.half()
    assert next(duplicate.teacher.parameters()).dtype == torch.float16
    assert next(model.teacher.parameters()).dtype == torch.float32


def test_ema_neither_copies_nor_averages_the_teacher(model):
    before = copy.deepcopy(model.teacher.state_dict())
    average = ExponentialMovingAverage(model, momentum=0.5)
    with torch.no_grad():
        next(model.student.parameters()).add_(1)
    average.update_parameters(model)
    assert average.module.teacher is model.teacher
    assert not any("teacher" in key for key in average.state_dict())
    assert all(torch.equal(before[k], v) for k, v in model.teacher.state_dict().items())


def test_checkpoint_round_trip(model):
    other = build()
    train_steps(model, 1)
    result = other.load_state_dict(model.state_dict())
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert torch.equal(
        next(other.student.parameters()).detach(), next(model.student.parameters()).detach()
    )


# --- stopping ---------------------------------------------------------------


def test_stopping_also_stops_the_teacher(model):
    model.stop_distillation()
    calls = []
    model.teacher.backbone.register_forward_hook(lambda *_: calls.append(1))
    losses = model(**tiny.batch(model), mode="loss")
    assert not calls
    assert set(losses) == set(model.student(**tiny.batch(model), mode="loss"))


def test_without_terms_the_teacher_does_not_run():
    model = build(distill=dict(hd=None))
    calls = []
    model.teacher.backbone.register_forward_hook(lambda *_: calls.append(1))
    model(**tiny.batch(model), mode="loss")
    assert not calls


# --- the wrapper looks like its student -------------------------------------


def test_predictions_features_and_raw_outputs_are_the_students(model):
    model.eval()
    data = tiny.batch(model)
    ours = model(**copy.deepcopy(data), mode="predict")
    plain = model.student(**copy.deepcopy(data), mode="predict")
    for a, b in zip(ours, plain, strict=True):
        assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)
        assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)
    for a, b in zip(
        model.extract_feat(data["inputs"]), model.student.extract_feat(data["inputs"]), strict=True
    ):
        assert torch.equal(a, b)
    ours, plain = (m(data["inputs"], mode="tensor") for m in (model, model.student))
    assert torch.equal(ours[0][0], plain[0][0])


class FakeRunner:
    """What MMDetection's hooks ask of a runner."""

    epoch, max_epochs = 4, 5

    def __init__(self, model, classes):
        dataset = type("Dataset", (), {"metainfo": {"classes": classes}})()
        dataset.update_skip_type_keys = lambda keys: None
        loader = type("Loader", (), {"dataset": dataset, "persistent_workers": False})()
        self.model, self.train_dataloader, self.val_dataloader = model, loader, loader
        self.logger = type("Logger", (), {"info": print, "warning": print})()


def test_mode_switch_hook_reaches_the_students_head(model):
    YOLOXModeSwitchHook(num_last_epochs=3).before_train_epoch(FakeRunner(model, ("a", "b", "c")))
    assert model.student.bbox_head.use_l1 is True


def test_set_epoch_hook_reaches_the_student(model):
    epochs = []
    object.__setattr__(model.student, "set_epoch", epochs.append)
    SetEpochInfoHook().before_train_epoch(FakeRunner(model, ("a", "b", "c")))
    assert epochs == [4]


def test_batch_augmentation_of_the_student_is_what_both_see(monkeypatch):
    resize = dict(type="BatchSyncRandomResize", random_size_range=(96, 96), interval=1)
    preprocessor = tiny.preprocessor(batch_augments=[resize])
    model = build(student=tiny.retinanet() | dict(data_preprocessor=preprocessor))
    seen = []
    original = model.teacher.extract_feat
    monkeypatch.setattr(
        model.teacher, "extract_feat", lambda images: seen.append(images) or original(images)
    )
    MessageHub.get_current_instance().update_info("iter", 0)
    tiny.batch(model)
    # The size that was drawn in the first step is that of the second.
    data = tiny.batch(model)
    model(**data, mode="loss")
    assert data["inputs"].shape[2:] == seen[0].shape[2:] == (96, 96)


def test_num_class_check_does_not_see_the_teacher():
    model = build(teacher=tiny.retinanet(classes=7), allow_class_mismatch=True)
    NumClassCheckHook().before_train_epoch(FakeRunner(model, ("a", "b", "c")))
    with pytest.raises(AssertionError):
        NumClassCheckHook().before_train_epoch(FakeRunner(model, ("a", "b")))


def test_missing_attributes_are_still_missing(model):
    assert not hasattr(model, "detector")
    with pytest.raises(AttributeError, match="no_such_part"):
        _ = model.no_such_part


# --- the teacher's own normalisation ----------------------------------------


def test_teacher_sees_the_image_as_its_own_preprocessor_makes_it():
    teacher = tiny.retinanet()
    teacher["data_preprocessor"] = tiny.preprocessor(
        mean=[10.0, 20.0, 30.0], std=[2.0, 3.0, 4.0], bgr_to_rgb=False
    )
    model = build(teacher=teacher)
    sizes = [(50, 64), (64, 40)]
    seen = []
    model.teacher.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(**tiny.batch(model, sizes=sizes), mode="loss")
    expected = tiny.batch(model.teacher, sizes=sizes)["inputs"]
    torch.testing.assert_close(seen[0], expected, rtol=1e-5, atol=1e-4)


# --- mistakes in the config -------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"allow_random_teacher": False}, ValueError, r"model\.teacher_ckpt"),
        ({"teacher_ckpt": "no/such/file.pth"}, FileNotFoundError, r"no/such/file\.pth"),
        ({"student": "no/such/config.py"}, FileNotFoundError, r"student='no/such/config\.py'"),
        ({"student": 3}, TypeError, "student=3 must be a text or a dict"),
        ({"student_init": "copy"}, ValueError, "student_init='copy'"),
        (
            {"distill": dict(hd=dict(type="tbd.Harmony"))},
            ValueError,
            r"distill\.hd\.type='tbd\.Harmony'.*tbd\.HarmonyDistillation",
        ),
        (
            {"distill": dict(hd=dict(type="tbd.HarmonyDistillation", norm="max"))},
            ValueError,
            r"distill\.hd.*norm='max'.*softmax",
        ),
        (
            {"distill": dict(hd=dict(type="tbd.HarmonyDistillation", alpha=1))},
            TypeError,
            r"distill\.hd.*alpha",
        ),
        (
            {"teacher": tiny.retinanet(classes=7)},
            ValueError,
            r"student tells apart 3 classes and the teacher 7",
        ),
        (
            {"teacher": tiny.faster_rcnn()},
            ValueError,
            r"different pyramids:\n.*3 levels.*\n.*4 levels.*\n.*student_options\.neck",
        ),
    ],
)
def test_mistakes_are_named_when_the_model_is_built(options, error, message):
    with pytest.raises(error, match=message):
        build(**options)


def test_image_size_that_a_detector_refuses_is_named(monkeypatch):
    def refuse(self, inputs):
        raise RuntimeError("images must be larger")

    monkeypatch.setattr(SingleStageDetector, "extract_feat", refuse)
    with pytest.raises(ValueError, match=r"student RetinaNet failed .* set probe_size"):
        build()


# --- initialisation ---------------------------------------------------------


def test_inherit_copies_neck_and_head_where_shapes_match():
    teacher = tiny.retinanet(width=8)  # a wider backbone below a neck of the same width
    model = build(teacher=teacher, student_init="inherit")
    ours, theirs = model.student.state_dict(), model.teacher.state_dict()
    same = {key for key in ours if key in theirs and torch.equal(ours[key], theirs[key])}
    assert {key for key in ours if key.startswith("bbox_head.")} <= same
    assert "neck.fpn_convs.0.conv.weight" in same
    assert "neck.lateral_convs.0.conv.weight" not in same


def test_building_draws_no_random_number_that_plain_building_would_not():
    torch.manual_seed(3)
    build_detector(resolve_model_config(tiny.retinanet()))
    expected = torch.rand(1)
    torch.manual_seed(3)
    MODELS.build(tiny.wrapper())
    assert torch.equal(torch.rand(1), expected)
