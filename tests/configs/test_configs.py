from pathlib import Path

import pytest
from mmdet.registry import HOOKS, METRICS
from mmengine.hub import get_config

from tbd.detectors.weights import without_pretrained
from tbd.engine import load_config
from tbd.registry import MODELS

ROOT = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "_base_" not in path.parts
)
COCO = [name for name in CONFIGS if "/" not in name]


def metrics(evaluator):
    return evaluator if isinstance(evaluator, list) else [evaluator]


def test_there_are_configs():
    assert "tbd_retinanet_r101_r50.py" in COCO
    assert {Path(name).parent.name for name in CONFIGS} >= {"shapes", "bccd", "coco_mini"}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_builds(name):
    cfg = load_config(str(ROOT / name))
    model = without_pretrained(cfg.model)
    if model.type == "tbd.TeacherStudentDetector":
        assert model.teacher_ckpt
        # No weights can be downloaded here: neither the teacher's nor a pretrained backbone.
        model.update(teacher_ckpt=None, allow_random_teacher=True)
        model.student_options = dict(backbone=dict(init_cfg=None))
    built = MODELS.build(model)
    assert sum(parameter.numel() for parameter in built.parameters()) > 0
    for hook in cfg.default_hooks.values():
        assert HOOKS.get(hook.type) is not None
    for metric in metrics(cfg.val_evaluator):
        assert METRICS.get(metric.type) is not None


@pytest.mark.parametrize("name", CONFIGS)
def test_config_says_what_it_trains_and_needs(name):
    source = (ROOT / name).read_text()
    assert source.startswith('"""')
    assert "Needs" in source or "needs" in source.split('"""')[1]


@pytest.mark.parametrize("name", COCO)
def test_teacher_checkpoint_is_the_model_zoos(name):
    model = load_config(str(ROOT / name)).model
    zoo = get_config(model.teacher, pretrained=True).model_path
    # The distributions name different hosts for the same file.
    assert model.teacher_ckpt.split("/")[-3:] == zoo.split("/")[-3:]


@pytest.mark.parametrize("name", [n for n in CONFIGS if Path(n).name.startswith("tbd_")])
def test_a_pair_takes_few_lines(name):
    lines = (ROOT / name).read_text().split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) < 15
