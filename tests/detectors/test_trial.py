import copy

import tiny
from mmengine.config import ConfigDict

from tbd.detectors.trial import build_trial


def test_what_a_trial_takes_replaces_what_the_config_has():
    encoder = dict(type="timm", model="vit_small_patch14_dinov2.lvd142m", pretrained=True)
    model = ConfigDict(
        tiny.wrapper(
            teacher_ckpt="nowhere.pth",
            allow_random_teacher=False,
            distill=dict(
                foundation=dict(type="tbd.FoundationFeatureDistillation", encoder=encoder)
            ),
        )
    )
    before = copy.deepcopy(model)
    trial = build_trial(model)
    assert list(trial.terms) == ["foundation"]
    assert model == before
