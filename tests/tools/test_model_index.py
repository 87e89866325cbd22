"""The list of configs that OpenMIM and MMEngine read."""

import shutil
import subprocess
import sys

import yaml
from shipped import CONFIGS
from tiny_run import ROOT


def write_index(folder):
    run = subprocess.run(
        [sys.executable, ROOT / "tools/write_model_index.py", folder],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return (folder / "metafile.yml").read_text()


def test_the_index_is_up_to_date(tmp_path):
    folder = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", folder, ignore=shutil.ignore_patterns("metafile.yml"))
    expected = write_index(folder)
    assert (ROOT / "configs/metafile.yml").read_text() == expected, (
        "run `python tools/write_model_index.py`"
    )


def test_every_config_is_listed_once_and_none_else():
    package = ROOT / "tbd/.mim"
    (imported,) = yaml.safe_load((package / "model-index.yml").read_text())["Import"]
    index = yaml.safe_load((package / imported).read_text())
    models = index["Models"]
    assert sorted(model["Config"] for model in models) == [f"configs/{name}" for name in CONFIGS]
    names = [model["Name"] for model in models]
    assert len(set(names)) == len(names)
    assert {model["In Collection"] for model in models} == {c["Name"] for c in index["Collections"]}
