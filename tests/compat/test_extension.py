import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import mmcv
import pytest
import torch
from mmcv.ops import box_iou_rotated, get_compiler_version
from mmengine.utils.dl_utils import mmcv_full_available

from tbd.compat import install
from tbd.compat.ops import OPERATORS

_PROVIDED = find_spec("mmcv._ext").origin == "tbd.compat.extension"

pytestmark = [
    pytest.mark.openmmlab,
    pytest.mark.skipif(not _PROVIDED, reason="this mmcv has compiled operators"),
]


def test_operators_are_found_by_name():
    extension = importlib.import_module("mmcv._ext")
    for name, operator in OPERATORS.items():
        assert getattr(extension, name) is operator


def test_a_missing_operator_is_named_when_it_is_called():
    with pytest.raises(NotImplementedError, match=r"'box_iou_rotated'.*from source"):
        box_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))


def test_special_attributes_are_not_operators():
    assert not hasattr(importlib.import_module("mmcv._ext"), "__path__")


def test_mmengine_sees_the_operators():
    assert mmcv_full_available()
    assert "torchvision" in get_compiler_version()


def test_installing_again_changes_nothing():
    finders = list(sys.meta_path)
    extension = sys.modules["mmcv._ext"]
    install()
    assert sys.meta_path == finders
    assert importlib.import_module("mmcv._ext") is extension


def test_mmcvs_own_extension_wins(tmp_path, monkeypatch):
    (tmp_path / "_ext.py").write_text("nms = 'compiled'\n")
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mmcv._ext")
    install()
    extension = importlib.import_module("mmcv._ext")
    # Taken out before monkeypatch puts the fallback back.
    monkeypatch.delattr(mmcv, "_ext")
    assert extension.nms == "compiled"
    assert not hasattr(extension, "roi_align_forward")


def test_a_loaded_extension_stays(monkeypatch):
    loaded = type(sys)("mmcv._ext")
    monkeypatch.setitem(sys.modules, "mmcv._ext", loaded)
    install()
    assert importlib.import_module("mmcv._ext") is loaded


@pytest.mark.slow
def test_installing_imports_neither_mmcv_nor_mmdet():
    # A bare package stands in for tbd, whose own import goes on to import mmdet.
    root = Path(__file__).parents[2] / "tbd"
    code = (
        "import sys, types\n"
        "package = sys.modules['tbd'] = types.ModuleType('tbd')\n"
        f"package.__path__ = [{str(root)!r}]\n"
        "from tbd.compat import check_distribution, install\n"
        "check_distribution(); install()\n"
        "loaded = {'mmcv', 'mmdet', 'torchvision'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "import mmcv.ops\n"
        "assert sys.modules['mmcv._ext'].__spec__.origin == 'tbd.compat.extension'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
