import math

import pytest
from mmengine.config import Config

from tbd.engine.config_text import config_text


@pytest.mark.openmmlab
def test_numbers_without_a_literal_survive():
    content = dict(a=float("inf"), b=[1.5, (-float("inf"), dict(c=float("nan")))], d="inf", e=True)
    read = Config.fromstring(config_text(Config(content)), ".py")
    assert read.a == math.inf
    assert read.b[1][0] == -math.inf
    assert math.isnan(read.b[1][1].c)
    assert (read.d, read.e) == ("inf", True)


def test_what_no_file_can_hold_is_named():
    with pytest.raises(ValueError, match=r"because of model\.part=<object"):
        config_text(Config(dict(model=dict(part=object()))))
