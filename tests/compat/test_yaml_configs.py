import os

import pytest
from mmengine.config import Config

pytestmark = pytest.mark.openmmlab


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [executed]",
        "!!python/object/new:subprocess.Popen [[mkdir, executed]]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
    ],
)
def test_objects_are_refused(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(f"seed: 1\nmodel: {value}\n")
    with pytest.raises(ValueError, match=r"line 2, !!python/.* would construct"):
        Config.fromfile("run.yaml")
    assert not os.path.exists("executed")


def test_configs_that_mmengine_writes_are_read(tmp_path):
    content = dict(model=dict(sizes=(1, 2), names=["a"], rate=0.5, none=None, on=True, text="é"))
    path = str(tmp_path / "run.yaml")
    Config(content).dump(path)
    assert Config.fromfile(path).to_dict() == content
