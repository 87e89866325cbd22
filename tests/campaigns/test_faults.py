"""Some of the faults of :mod:`campaigns.faults`, of each sort one."""

import pytest

from campaigns.faults import FAULTS, Bench

pytestmark = pytest.mark.slow

CHOSEN = (
    "SIGKILL in writing a checkpoint",
    "SIGKILL in the export",
    "disk full, export",
    "data-loader worker killed",
    "rank killed",
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("name", CHOSEN)
def test_nothing_is_lost(bench, name):
    found = FAULTS[name](bench)
    assert found.lost == 0
    assert found.equal
    assert found.left == []
    assert found.seconds is None or found.seconds < 60
