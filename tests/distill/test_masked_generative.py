import pytest
import tiny
import torch
from distilled import distilled, feature_spec, half_precision_views
from mmengine.logging import MessageHub
from reference import reference, state_dict
from torch.nn.functional import conv2d, relu
from views import view

from tbd.distill import MaskedGenerativeDistillation, masked_generative_loss


def random(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def term_on(*levels, channels_s=None, **options):
    torch.manual_seed(0)
    term = MaskedGenerativeDistillation(**options)
    widths = [level[1] for level in levels]
    term.connect(
        feature_spec("student", *([channels_s or width for width in widths])),
        feature_spec("teacher", *widths),
    )
    return term.double()


def loss(term, feat_s, feat_t):
    return term(view(features=(feat_s,)), view(features=(feat_t,)))["loss_feature"]


def at_iteration(iteration):
    MessageHub.get_current_instance().runtime_info.update(
        iter=iteration, max_iters=100, max_epochs=1
    )


@pytest.fixture(autouse=True)
def runner_counters():
    """Restore what a Runner would say of itself."""
    info = MessageHub.get_current_instance().runtime_info
    before = dict(info)
    yield
    info.clear()
    info.update(before)


def test_loss_is_the_sum_over_an_image_in_loops():
    generated, feat_t = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 5, 4).transpose(2, 3)
    expected = sum(
        (feat_t[index] - generated[index]).item() ** 2
        for index in torch.cartesian_prod(*map(torch.arange, (2, 3, 4, 5))).unbind(0)
        for index in [tuple(index.tolist())]
    )
    value = masked_generative_loss(generated, feat_t)
    assert value.item() == pytest.approx(expected / 2, rel=1e-12)
    assert torch.autograd.gradcheck(lambda g: masked_generative_loss(g, feat_t), generated)


def test_value_and_gradient_are_those_of_the_public_code(monkeypatch):
    expected = reference("masked_generative")
    term = term_on((2, 6, 5, 4), loss_weight=2e-5)
    parameters = state_dict(expected)
    term.generations[0].load_state_dict(
        {name.removeprefix("generation."): value for name, value in parameters.items()}
    )
    monkeypatch.setattr(term, "_mask", lambda features, generator: expected["mask"])
    feat_s = expected["feat_s"].requires_grad_()
    value = loss(term, feat_s, expected["feat_t"])
    (gradient,) = torch.autograd.grad(value, feat_s)
    torch.testing.assert_close(value, expected["loss"], rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, expected["gradient"], rtol=1e-10, atol=1e-14)


def test_without_a_mask_it_is_the_composition_of_adaptation_and_generation():
    term = term_on((2, 4, 3, 3), channels_s=3, mask_ratio=0.0, loss_weight=0.5)
    feat_s, feat_t = random(2, 3, 3, 3), random(2, 4, 3, 3)
    first, second = term.generations[0][0], term.generations[0][2]
    adapted = conv2d(feat_s, term.adaptations[0].weight, term.adaptations[0].bias)
    hidden = relu(conv2d(adapted, first.weight, first.bias, padding=1))
    generated = conv2d(hidden, second.weight, second.bias, padding=1)
    expected = 0.5 * (generated - feat_t).square().sum() / 2
    torch.testing.assert_close(loss(term, feat_s, feat_t), expected)


def test_as_many_locations_are_hidden_as_said_in_all_channels_alike():
    term = term_on((8, 2, 64, 64), mask_ratio=0.65)
    mask = term._mask(torch.zeros(8, 2, 64, 64), torch.Generator().manual_seed(0))
    assert mask.shape == (8, 1, 64, 64)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.mean().item() == pytest.approx(0.35, abs=0.01)


def test_the_mask_follows_seed_and_iteration_and_leaves_other_random_numbers_alone():
    def run(iterations, seed=0):
        # A new term, as after a resumption.
        term = term_on((2, 4, 6, 6))
        torch.manual_seed(seed)
        values = []
        for iteration in iterations:
            at_iteration(iteration)
            values.append(loss(term, random(2, 4, 6, 6), random(2, 4, 6, 6)).item())
        return values, torch.rand(1).item()

    whole, drawn = run([1, 2, 3, 4])
    resumed, _ = run([3, 4])
    other, _ = run([1, 2], seed=1)
    torch.manual_seed(0)
    assert drawn == torch.rand(1).item()
    assert resumed == whole[2:]
    assert len(set(whole + other)) == 6


def test_every_call_has_a_mask_of_its_own_where_no_runner_counts():
    MessageHub.get_current_instance().runtime_info.clear()
    term = term_on((2, 4, 6, 6))
    values = {loss(term, random(2, 4, 6, 6), random(2, 4, 6, 6)).item() for _ in range(4)}
    assert len(values) == 4


def test_nothing_is_hidden_in_eval_mode():
    term = term_on((2, 4, 6, 6)).eval()
    feat_s, feat_t = random(2, 4, 6, 6), random(2, 4, 6, 6)
    expected = 2e-5 * masked_generative_loss(term.generations[0](feat_s), feat_t)
    torch.testing.assert_close(loss(term, feat_s, feat_t), expected)


def test_half_precision_and_single_locations_are_compared_in_float32():
    term = term_on((2, 4, 5, 4), (2, 4, 1, 1)).float()
    value = term(*half_precision_views([(2, 4, 5, 4), (2, 4, 1, 1)]))["loss_feature"]
    assert value.dtype == torch.float32
    assert value.isfinite()


@pytest.mark.parametrize("mask_ratio", [-0.1, 1.0, float("nan")])
def test_ratios_out_of_range_are_refused(mask_ratio):
    with pytest.raises(ValueError, match="mask_ratio="):
        MaskedGenerativeDistillation(mask_ratio=mask_ratio)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 2, 3, 3\].*\[1, 2, 3, 1\]"):
        masked_generative_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 1))


@pytest.mark.parametrize("student", [tiny.retinanet(), tiny.faster_rcnn()], ids=["one", "two"])
def test_a_detector_is_distilled(student):
    teacher = tiny.retinanet(8, 16) if student["type"] == "RetinaNet" else tiny.faster_rcnn(8, 16)
    term = dict(type="tbd.MaskedGenerativeDistillation")
    assert distilled(student, teacher, term)["loss_feature"] > 0
