import copy

import pytest
import torch

from tbd.modules import (
    RecurrentTaskWeightGenerator,
    TaskWeightGenerator,
    build_weight_generator,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def pyramid(batch=3, levels=5, dtype=torch.float64):
    sizes = [2 ** (levels - level) for level in range(levels)]
    return [torch.rand(batch, 4, size, size + 1, dtype=dtype) for size in sizes]


def written_out(rnn, sequence, state):
    """Outputs and last states of a recurrent network, step by step; sequence [N, L, C]."""
    act = torch.tanh if rnn.nonlinearity == "tanh" else torch.relu
    directions = 2 if rnn.bidirectional else 1
    steps, last = list(sequence.unbind(dim=1)), []
    for layer in range(rnn.num_layers):
        outputs = []
        for direction in range(directions):
            suffix = f"l{layer}" + ("_reverse" if direction else "")
            w_ih, w_hh, b_ih, b_hh = (
                getattr(rnn, f"{name}_{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h, passed = state[layer * directions + direction], []
            for x in reversed(steps) if direction else steps:
                h = act(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
                passed.append(h)
            last.append(h)
            outputs.append(passed[::-1] if direction else passed)
        steps = [torch.cat(parts, dim=1) for parts in zip(*outputs, strict=True)]
    return torch.stack(steps, dim=1), torch.stack(last)


def gradients(loss, module, *inputs):
    wanted = [*module.rnn.parameters(), *inputs]
    return torch.autograd.grad(loss, wanted)


SETTINGS = [
    dict(nonlinearity=nonlinearity, batch_first=batch_first, bidirectional=bidirectional)
    for nonlinearity in ("tanh", "relu")
    for batch_first in (True, False)
    for bidirectional in (True, False)
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("given", [True, False], ids=["state", "no-state"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_it_reads_as_the_recurrence_written_out(settings, given, num_layers):
    generator = RecurrentTaskWeightGenerator(
        num_layers=num_layers, hidden_channels=6, **settings
    ).double()
    sequence = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    shape = (num_layers * (2 if settings["bidirectional"] else 1), 3, 6)
    state = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    if given:
        state = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found = generator.read(sequence, state if given else None)
    expected = written_out(generator.rnn, sequence, state)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)
    # A loss that tells all outputs and states apart.
    weights = [torch.randn_like(part) for part in expected]
    inputs = (sequence, state) if given else (sequence,)
    one, two = (
        gradients(
            sum((w * part).sum() for w, part in zip(weights, parts, strict=True)),
            generator,
            *inputs,
        )
        for parts in (found, expected)
    )
    for left, right in zip(one, two, strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("initial_state", ["zero", "learned"])
def test_weights_equal_those_of_the_written_out_network(bidirectional, batch_first, initial_state):
    generator = RecurrentTaskWeightGenerator(
        hidden_channels=6,
        bidirectional=bidirectional,
        batch_first=batch_first,
        initial_state=initial_state,
    ).double()
    if initial_state == "learned":
        with torch.no_grad():
            generator.initial_state.normal_()
    maps = pyramid()
    found = generator(maps)

    sequence = torch.stack([level.flatten(2).mean(dim=2) for level in maps], dim=1)
    state = torch.zeros(generator.rnn.num_layers * (1 + bidirectional), 3, 6).double()
    if initial_state == "learned":
        state = state + generator.initial_state
    outputs, _ = written_out(generator.rnn, sequence, state)
    logits = outputs.reshape(3, -1) @ generator.fc.weight.T + generator.fc.bias
    expected = torch.exp(logits.reshape(3, 5, 2))
    expected = expected / expected.sum(dim=2, keepdim=True)
    assert len(found) == 5
    for level, weights in enumerate(found):
        torch.testing.assert_close(weights, expected[:, level])
    parameters = list(generator.parameters())
    factors = torch.randn_like(expected)
    one = torch.autograd.grad((factors * torch.stack(found, dim=1)).sum(), parameters)
    two = torch.autograd.grad((factors * expected).sum(), parameters)
    for left, right in zip(one, two, strict=True):
        torch.testing.assert_close(left, right)
    assert all(gradient.abs().sum() > 0 for gradient in one)


def test_each_level_sees_all_others():
    generator = RecurrentTaskWeightGenerator().double()
    maps = [level.requires_grad_() for level in pyramid()]
    for weights in generator(maps):
        for gradient in torch.autograd.grad(weights[:, 0].sum(), maps, retain_graph=True):
            assert gradient.abs().max() > 0


def test_a_learned_state_starts_at_zero_and_is_trained():
    torch.manual_seed(1)
    zero = RecurrentTaskWeightGenerator()
    torch.manual_seed(1)
    learned = RecurrentTaskWeightGenerator(initial_state="learned")
    maps = pyramid(dtype=torch.float32)
    assert torch.equal(torch.stack(zero(maps)), torch.stack(learned(maps)))
    assert "initial_state" in dict(learned.named_parameters())
    assert "initial_state" not in dict(zero.named_parameters())


def test_half_precision_maps_are_read_in_float32():
    generator = RecurrentTaskWeightGenerator()
    maps = pyramid(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = generator([level.bfloat16() for level in maps])
    for one, two in zip(mixed, generator(maps), strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, two, atol=1e-3, rtol=0)


def test_another_number_of_levels_is_an_error():
    with pytest.raises(ValueError, match=r"num_levels=5, but the pyramid has 4.*set num_levels"):
        RecurrentTaskWeightGenerator()(pyramid(levels=4))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(num_layers=0), "num_layers=0 must be at least 1"),
        (dict(num_levels=0), "num_levels=0 must be at least 1"),
        (dict(hidden_channels=0), "hidden_channels=0 must be at least 1"),
        (dict(nonlinearity="gelu"), "nonlinearity='gelu' must be 'tanh' or 'relu'"),
        (dict(initial_state="random"), "initial_state='random' must be 'zero' or 'learned'"),
    ],
)
def test_settings_out_of_range_are_errors(setting, message):
    with pytest.raises(ValueError, match=message):
        RecurrentTaskWeightGenerator(**setting)


def test_both_generators_are_called_alike():
    maps = pyramid(levels=3, dtype=torch.float32)
    for kind in ("mlp", "recurrent", dict(type="tbd.RecurrentTaskWeightGenerator", num_layers=1)):
        generator = build_weight_generator(kind, num_levels=3)
        found = generator.weights(maps)
        assert [tuple(weights.shape) for weights in found] == [(3, 2)] * 3
        torch.testing.assert_close(torch.stack(found).sum(dim=2), torch.ones(3, 3))


def test_the_mlp_sees_one_level_at_a_time():
    generator = build_weight_generator("mlp", num_levels=3)
    assert isinstance(generator, TaskWeightGenerator)
    maps = pyramid(levels=3, dtype=torch.float32)
    for weights, level in zip(generator.weights(maps), maps, strict=True):
        assert torch.equal(weights, generator(level))


def test_configs_of_generators():
    built = build_weight_generator(dict(type="tbd.TaskWeightGenerator", hidden_channels=3), 5)
    assert built.fc1.out_features == 3
    config = dict(type=RecurrentTaskWeightGenerator, num_levels=4)
    before = copy.deepcopy(config)
    assert build_weight_generator(config, 5).num_levels == 4
    assert config == before
    assert build_weight_generator("recurrent", 6).num_levels == 6
    with pytest.raises(ValueError, match="weight_generator='lstm' must be one of mlp, recurrent"):
        build_weight_generator("lstm", 5)
