import ast
import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tbd.compat import check_distribution, distribution

pytestmark = pytest.mark.openmmlab


@pytest.fixture
def environment(monkeypatch):
    """Pretend that these packages, and these modules, are all that is installed."""

    def pretend(packages, modules=("mmdet", "mmengine", "mmcv")):
        def version(name):
            if name not in packages:
                raise PackageNotFoundError(name)
            return "1.2.3"

        monkeypatch.setattr(distribution, "version", version)
        monkeypatch.setattr(
            distribution, "find_spec", lambda name: object() if name in modules else None
        )

    return pretend


def test_this_environment_passes():
    check_distribution()


@pytest.mark.parametrize(
    "packages",
    [
        ["onedl-mmdetection", "onedl-mmengine", "onedl-mmcv"],
        ["mmdet", "mmengine", "mmcv-lite"],
        ["mmdet", "mmengine", "mmcv"],
        [],  # a checkout on the path has modules without a package
    ],
)
def test_one_distribution_passes(environment, packages):
    environment(packages)
    check_distribution()


def test_neither(environment):
    environment([], modules=[])
    with pytest.raises(ImportError) as error:
        check_distribution()
    assert "cannot find mmdet, mmengine, mmcv" in str(error.value)
    assert "pip install 'onedl-mmdetection>=3.5.1' " in str(error.value)
    assert "pip install 'mmdet>=3.3.0' " in str(error.value)


def test_part_of_one(environment):
    environment(["mmdet", "mmengine"], modules=["mmdet", "mmengine"])
    with pytest.raises(ImportError) as error:
        check_distribution()
    assert "cannot find mmcv" in str(error.value)
    assert "pip install 'mmdet>=3.3.0' " in str(error.value)
    assert "onedl" not in str(error.value)


@pytest.mark.parametrize("intruder", ["mmdet", "mmengine", "mmcv", "mmcv-lite", "mmcv-full"])
def test_both(environment, intruder):
    environment(["onedl-mmdetection", "onedl-mmengine", "onedl-mmcv", intruder])
    with pytest.raises(ImportError) as error:
        check_distribution()
    message = str(error.value)
    assert "onedl-mmcv 1.2.3" in message
    assert f"{intruder} 1.2.3" in message
    assert f"pip uninstall -y onedl-mmdetection onedl-mmengine onedl-mmcv {intruder}\n" in message
    assert "pip install 'onedl-mmdetection>=3.5.1' " in message
    assert "pip install 'mmdet>=3.3.0' " in message


def test_the_advice_is_what_the_extras_ask_for():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for name, extra in {"OneDL": "onedl", "OpenMMLab": "openmmlab"}.items():
        listed = re.search(rf"^{extra} = (\[.*?\])", text, re.MULTILINE | re.DOTALL)
        assert distribution._REQUIREMENTS[name] == tuple(ast.literal_eval(listed[1]))
