import torch

from tbd.generative.noise import ResumableNoise, standard_normal, symmetric_uniform


def make(seed=0, distribution=standard_normal):
    torch.manual_seed(seed)
    return ResumableNoise(distribution)


def test_a_source_that_is_loaded_goes_on_as_the_saved_one():
    whole, first = make(), make()
    expected = [whole(3, 2) for _ in range(4)]
    found = [first(3, 2) for _ in range(2)]
    state = first.state_dict()
    resumed = make(seed=7)
    resumed.load_state_dict(state)
    torch.manual_seed(5)
    found += [resumed(3, 2) for _ in range(2)]
    for one, two in zip(expected, found, strict=True):
        assert torch.equal(one, two)


def test_draws_seeds_and_processes_differ(monkeypatch):
    source = make()
    first, second = source(4, 5), source(4, 5)
    other = make(seed=1)(4, 5)
    monkeypatch.setattr("tbd.generative.noise.get_rank", lambda: 1)
    elsewhere = make()(4, 5)
    for noise in (second, other, elsewhere):
        assert not (noise == first).any()


def test_drawing_leaves_the_global_generator_alone():
    source = make()
    state = torch.get_rng_state()
    source(2)
    source.of_images([0], 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_of_an_image_depends_on_the_image_alone():
    together = make().of_images([4, 9], 3)
    source = make(seed=3)
    source(5)
    assert torch.equal(source.of_images([9], 3), together[1:])
    assert not (together[0] == together[1]).any()


def test_distributions():
    normal = make()(100_000)
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    uniform = make(distribution=symmetric_uniform)(100_000)
    assert uniform.min() >= -1
    assert uniform.max() < 1
    assert abs(uniform.mean()) < 0.02
    assert abs(uniform.square().mean() - 1 / 3) < 0.01
