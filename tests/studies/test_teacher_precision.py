"""The change of losses with the precision of a teacher is that of its rounding."""

import copy

import pytest
import tiny
import torch
from mmengine.config import Config
from tiny_run import config_dict, write_data

from tbd.detectors import build_detector
from tbd.studies.teacher_precision import measure_loss_changes


def test_losses_change_by_the_rounding_alone(tmp_path):
    write_data(tmp_path / "data")
    torch.manual_seed(0)
    teacher = tiny.wrapper()["teacher"]
    weights = build_detector(Config(teacher)).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / "teacher.pth")
    model = tiny.wrapper(teacher_ckpt=str(tmp_path / "teacher.pth"))
    content = Config(config_dict(tmp_path / "data", model))
    changes = {
        dtype: measure_loss_changes(copy.deepcopy(content), dtype, iterations=2)
        for dtype in ("bf16", "fp32")
    }
    assert set(changes["bf16"]) == {
        "hd.loss_harmony",
        "tfd.loss_cls_feature",
        "tfd.loss_loc_feature",
    }
    for name, change in changes["bf16"].items():
        assert change.mean > 0
        assert 0 < change.mean_change <= change.largest_change < 0.05 * change.mean
        # The same weights, batches and random numbers: in float32 next to nothing moves.
        assert changes["fp32"][name].largest_change < 1e-5 * change.mean


def test_random_teachers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="teacher_ckpt"):
        measure_loss_changes(Config(dict(model=tiny.wrapper())), "bf16", 1)
