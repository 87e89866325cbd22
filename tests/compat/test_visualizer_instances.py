"""Which visualizer a run of a process draws with."""

import pytest
from mmdet.visualization import DetLocalVisualizer
from mmengine.visualization import Visualizer

from tbd.compat import forget_visualizer

CONFIG = dict(type="mmdet.DetLocalVisualizer", name="drawn by each")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    for cls in (Visualizer, DetLocalVisualizer):
        monkeypatch.setattr(cls, "_instance_dict", cls._instance_dict.copy())


def test_the_latest_run_draws_with_its_own():
    first = DetLocalVisualizer.get_instance(CONFIG["name"])
    # A run of something else than a detector.
    Visualizer.get_instance("of another name")
    forget_visualizer(CONFIG)
    second = DetLocalVisualizer.get_instance(CONFIG["name"])
    assert second is not first
    # Hooks ask for it like this.
    assert Visualizer.get_current_instance() is second
    assert DetLocalVisualizer.get_current_instance() is second


def test_a_config_without_one_forgets_nothing():
    instance = Visualizer.get_instance("kept")
    forget_visualizer(None)
    assert Visualizer.get_current_instance() is instance
