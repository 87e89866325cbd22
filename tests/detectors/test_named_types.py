import pytest
from mmdet.models.detectors import RetinaNet
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.model import PretrainedInit
from torch.optim import SGD

from tbd.detectors import TeacherStudentDetector, resolve_model_config
from tbd.detectors.named_types import with_named_types

PURE = """
from mmengine.config import read_base
from mmdet.models.detectors import RetinaNet
from mmdet.models.losses.smooth_l1_loss import L1Loss
from tbd import TeacherStudentDetector
with read_base():
    from .hooks import *
student = dict(type=RetinaNet, backbone=dict(type='ResNet'), bbox_head=dict(loss=dict(type=L1Loss)))
model = dict(type=TeacherStudentDetector, student=student)
"""
HOOKS = """
from mmengine.hooks import CheckpointHook
default_hooks = dict(checkpoint=dict(type=CheckpointHook))
"""


def test_classes_become_the_names_that_they_are_registered_by():
    register_all_modules()
    content = dict(
        model=dict(type=TeacherStudentDetector, student=[dict(type=RetinaNet)]),
        hook=dict(type=CheckpointHook),
        optimizer=dict(type=SGD),
        other=dict(type=Config),
        init_cfg=dict(type=PretrainedInit),
    )
    named = with_named_types(Config(content))
    assert named.model.type == "tbd.TeacherStudentDetector"
    assert named.model.student[0].type == "RetinaNet"
    assert (named.hook.type, named.optimizer.type) == ("CheckpointHook", "SGD")
    # Registered by another name than its own.
    assert named.init_cfg.type == "Pretrained"
    assert named.other.type == "mmengine.config.config.Config"


def test_a_config_of_names_is_left_as_it_is():
    cfg = Config(dict(model=dict(type="RetinaNet"), a=1))
    assert with_named_types(cfg) is cfg


@pytest.mark.openmmlab
def test_a_pure_python_config_is_read(tmp_path):
    register_all_modules()
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "pure.py").write_text(PURE)
    named = with_named_types(Config.fromfile(str(tmp_path / "pure.py")))
    assert named.model.type == "tbd.TeacherStudentDetector"
    assert named.default_hooks.checkpoint.type == "CheckpointHook"
    student = resolve_model_config(str(tmp_path / "pure.py"))
    # The module of this class has the name of a function beside it.
    assert (student.type, student.bbox_head.loss.type) == ("RetinaNet", "L1Loss")
