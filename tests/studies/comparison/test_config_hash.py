import copy

import tiny
from mmengine.config import Config
from shipped import shipped

from tbd.studies.comparison.config_hash import config_hash


def changed(**values):
    cfg = copy.deepcopy(shipped("shapes/retinanet_student_shapes.py"))
    cfg.merge_from_dict(values)
    return config_hash(cfg)


def test_a_run_that_was_interrupted_has_the_hash_of_one_that_was_not():
    plain = changed(load_from=None, resume=False)
    assert changed(load_from="work/epoch_2.pth", resume=True, work_dir="elsewhere") == plain
    # Without resuming, a training starts from these weights.
    assert changed(load_from="work/epoch_2.pth", resume=False) != plain


def test_what_decides_on_a_result_is_in_it_and_the_seed_apart():
    plain = changed(randomness=dict(seed=0))
    assert changed(randomness=dict(seed=7)) == plain
    assert changed(randomness=dict(seed=0), optim_wrapper=dict(optimizer=dict(lr=0.5))) != plain


def test_a_distillation_without_a_teacher_detector_has_one():
    foundation = dict(type="tbd.FoundationFeatureDistillation", encoder=dict(type="mmdet.ResNet"))
    model = tiny.wrapper(teacher=None, distill=dict(foundation=foundation))
    alone = config_hash(Config(dict(model=model)))
    assert alone != config_hash(Config(dict(model=model | dict(teacher=tiny.retinanet()))))
