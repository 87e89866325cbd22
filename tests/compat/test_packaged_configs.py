import json
import subprocess
import sys

import mmdet
import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from tiny_run import ROOT, process_environment

import tbd
from tbd.compat import packaged_configs
from tbd.detectors import resolve_model_config
from tbd.engine import load_config
from tbd.engine.config import config_name

pytestmark = pytest.mark.openmmlab

# At the top of the folder, inside a folder, a base.
NAMES = (
    "tbd_retinanet_r101_r50.py",
    "shapes/tbd_retinanet_shapes.py",
    "_base_/models/retinanet_r18w32_fpn64.py",
)


def from_path(name):
    return content(Config.fromfile(ROOT / "configs" / name))


def content(config):
    """The config as a dict; MMEngine may come to its file through the link in the package."""
    text = json.dumps(config.to_dict()).replace(f"{ROOT}/tbd/.mim/configs/", f"{ROOT}/configs/")
    return json.loads(text)


def inherit(folder, base, more=""):
    path = folder / "local.py"
    path.write_text(f"_base_ = {base!r}\n{more}")
    return str(path)


def test_the_folder_is_that_of_the_checkout():
    assert tbd.configs_dir() == ROOT / "configs"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_for_the_file(name, tmp_path):
    expected = from_path(name)
    local = inherit(tmp_path, [f"tbd::{name}"])
    assert content(Config.fromfile(local)) == expected
    assert content(load_config(f"tbd::{name}")) == expected
    assert content(get_config(f"tbd::{name}")) == expected


def test_what_is_inherited_stays_in_the_scope_of_mmdetection(tmp_path):
    local = inherit(
        tmp_path,
        "tbd::shapes/tbd_retinanet_shapes.py",
        "model = dict(distill=dict(hd=dict(loss_weight=2.0)))",
    )

    def scopes(node):
        if isinstance(node, dict):
            yield from [node["_scope_"]] if "_scope_" in node else []
            node = node.values()
        if not isinstance(node, str):
            for item in node if hasattr(node, "__iter__") else ():
                yield from scopes(item)

    assert "tbd" not in set(scopes(Config.fromfile(local).to_dict()))


def test_a_student_or_a_teacher_can_be_named():
    name = "tbd::shapes/retinanet_student_shapes.py"
    expected = from_path("shapes/retinanet_student_shapes.py")["model"]
    found = content(resolve_model_config(name))
    assert {key: found[key] for key in expected} == expected


def test_a_missing_config_is_named_with_those_like_it():
    expected = r"tbd::retinanet_r101_r50\.py.*It has.* tbd::tbd_retinanet_r101_r50\.py"
    for read in (load_config, get_config, resolve_model_config):
        with pytest.raises(FileNotFoundError, match=expected):
            read("tbd::retinanet_r101_r50.py")
    with pytest.raises(FileNotFoundError, match=r"no such config in \S+configs\.$"):
        load_config("tbd::zzz/zzz.yml")


def test_installing_it_twice_wraps_once():
    wrapped = Config._get_cfg_path
    packaged_configs.allow_packaged_configs()
    assert Config._get_cfg_path is wrapped


def test_configs_of_mmdetection_are_read_as_before(tmp_path):
    name = "retinanet/retinanet_r50_fpn_1x_coco.py"
    local = Config.fromfile(inherit(tmp_path, f"mmdet::{name}"))
    assert local.model._scope_ == "mmdet"
    assert get_config(f"mmdet::{name}").model.type == "RetinaNet"
    assert Config._get_cfg_path(f"mmdet::{name}", "")[0].startswith(mmdet.__path__[0])
    with pytest.raises(AssertionError, match="does not support to load other"):
        Config.fromfile(inherit(tmp_path, "other::folder/file.py"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("configs/tbd_retinanet_r101_r50.py", "tbd_retinanet_r101_r50"),
        ("tbd::tbd_retinanet_r101_r50.py", "tbd_retinanet_r101_r50"),
        ("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", "retinanet_r50_fpn_1x_coco"),
    ],
)
def test_a_run_is_named_after_the_file(path, name):
    assert config_name(path) == name


def test_a_program_that_does_not_know_tbd_inherits_by_path(tmp_path):
    base = "[f\"{__import__('tbd').configs_dir()}/tbd_retinanet_r101_r50.py\"]"
    assert base in packaged_configs.__doc__
    (tmp_path / "local.py").write_text(f"_base_ = {base}\n")
    code = (
        "import sys\n"
        "from mmengine.config import Config\n"
        "assert 'tbd' not in sys.modules\n"
        "Config.fromfile('local.py').dump('found.py')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=process_environment(),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert content(Config.fromfile(tmp_path / "found.py")) == from_path("tbd_retinanet_r101_r50.py")
