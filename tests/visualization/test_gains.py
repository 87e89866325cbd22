import re

import pytest

from tbd.visualization.gains import Gain, draw_gains


def test_names_and_panels_are_in_the_picture(tmp_path):
    panels = {
        "cells": [Gain("TBD", [3.0, 4.0], 3.5, 1.0), Gain("HD", [0.1, -0.2], -0.05, 1.9)],
        "streets": [Gain("one seed", [-2.0], -2.0, None)],
    }
    draw_gains(panels, tmp_path / "new/gains.svg")
    text = (tmp_path / "new/gains.svg").read_text()
    for word in ("cells", "streets", "TBD", "HD", "one seed"):
        assert re.search(rf">{word}<", text)


def test_a_gain_whose_interval_holds_zero_is_hollow(tmp_path):
    def colours(gain):
        draw_gains({"cells": [gain]}, tmp_path / "gains.svg")
        text = (tmp_path / "gains.svg").read_text().lower()
        return set(re.findall(r"#[0-9a-f]{6}", text)) & {"#0072b2", "#d55e00"}

    assert colours(Gain("a", [3.0], 3.0, 2.9)) == {"#0072b2"}
    assert colours(Gain("a", [-3.0], -3.0, 2.9)) == {"#d55e00"}
    assert colours(Gain("a", [3.0], 3.0, 3.1)) == set()
    assert colours(Gain("a", [3.0], 3.0, None)) == set()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no gains"):
        draw_gains({"cells": []}, tmp_path / "gains.svg")
