import os

import mmdet
import pytest
from mmengine.config import utils
from mmengine.fileio import load
from mmengine.utils import get_installed_path

from tbd.compat import model_index

pytestmark = pytest.mark.openmmlab


def test_values_are_those_that_mmengine_reads_by_itself():
    folder = os.path.join(get_installed_path("mmdet"), ".mim")
    index = load(os.path.join(folder, "model-index.yml"))
    assert model_index._load(os.path.join(folder, "model-index.yml")) == index
    for name in index["Import"][::10]:
        assert model_index._load(os.path.join(folder, name)) == load(os.path.join(folder, name))


def test_a_config_is_found_and_files_are_read_once(monkeypatch):
    package = os.path.dirname(mmdet.__file__)
    name = "retinanet/retinanet_r50_fpn_1x_coco.py"
    found = utils._get_cfg_metainfo(package, name)
    assert found["Config"] == f"configs/{name}"
    monkeypatch.setattr(model_index, "_Loader", None)
    assert utils._get_cfg_metainfo(package, name) == found


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "metafile.yml"
    path.write_text("Models: []")
    assert model_index._load(str(path)) == {"Models": []}
    path.write_text("Models: [{Name: a}]")
    assert model_index._load(str(path)) == {"Models": [{"Name": "a"}]}
