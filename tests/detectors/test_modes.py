import pytest
from torch import nn

from tbd.detectors.modes import evaluating


class Switching(nn.Linear):
    """Sets modes of its own on train(), as backbones with frozen stages do."""

    def train(self, mode=True):
        super().train(mode)
        self.switched = mode
        return self


def model():
    """Trains, with its second part frozen in eval mode."""
    built = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.BatchNorm1d(1)), Switching(1, 1))
    built.train()
    built[1].eval()
    return built


def modes(built):
    return [module.training for module in built.modules()]


def fail_in_eval_mode(built, error):
    with evaluating(built):
        assert not any(modes(built))
        raise error


def test_every_modules_own_mode_returns():
    built = model()
    before = modes(built)
    assert len(set(before)) == 2
    with evaluating(built):
        assert not any(modes(built))
        assert built[2].switched is False
    assert modes(built) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_modes_return_after_an_exception(error):
    built = model()
    before = modes(built)
    with pytest.raises(error):
        fail_in_eval_mode(built, error)
    assert modes(built) == before


def test_nested_use_restores_in_order():
    built = model()
    before = modes(built)
    with evaluating(built):
        with evaluating(built[0]):
            pass
        assert not any(modes(built))
    assert modes(built) == before
