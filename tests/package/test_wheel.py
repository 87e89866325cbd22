"""The package as its users have it: built, installed, and run far from the source tree."""

import email
import filecmp
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from shipped import CONFIGS
from tiny_run import ROOT

import tbd
from tbd.compat import load_checkpoint
from tbd_command import COMMANDS

pytestmark = pytest.mark.slow

SOURCES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "tbd_command.py")
# Two iterations of two images, and a validation.
SMALL = {
    "train_cfg.max_epochs": 1,
    "train_cfg.val_interval": 1,
    "train_dataloader.batch_size": 2,
    "train_dataloader.dataset.shapes.num_images": 4,
    "val_dataloader.dataset.shapes.num_images": 2,
    "test_dataloader.dataset.shapes.num_images": 2,
}


def start(*command, cwd):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    # It would put the source tree before what is installed.
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def build(kind, source, out):
    """Build an sdist or a wheel, by the build backend that pip and others call."""
    out.mkdir()
    code = (
        "import sys; from setuptools import build_meta; "
        f"print(build_meta.build_{kind}(sys.argv[1]))"
    )
    start(sys.executable, "-c", code, out, cwd=source)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the source tree, because building leaves its traces in there."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    for name in ("tbd", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    return build("sdist", source, tmp_path_factory.mktemp("sdist") / "out")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel built from the sdist: what either of them leaves out is missing."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (unpacked,) = folder.iterdir()
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel") / "out")


def install(wheel, folder):
    """A new virtual environment with a wheel in it.

    Its dependencies are those of the environment that runs the test, lent by a path file: torch
    alone would be gigabytes to download. Path files inside that environment are not read, so an
    editable installation of tbd there stays out of sight.
    """
    start(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    arguments = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    start(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(start(python, "-c", where, cwd=folder).strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    return install(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture
def far_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_wheel_holds_what_the_package_is_made_of(wheel, source, tmp_path):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(source)) for path in source.glob("tbd/**/*.py")}
    data = {"tbd/py.typed", "tbd/.mim/model-index.yml", "tbd_command.py"}
    assert modules | data <= names
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"tbd", f"tbd-{tbd.__version__}.dist-info", "tbd_command.py"}
    # Straight from the source tree, as pip builds it there, the wheel is the same.
    direct = build("wheel", source, tmp_path / "direct")
    assert set(zipfile.ZipFile(direct).namelist()) == names


def test_what_an_index_shows(wheel):
    folder = f"tbd-{tbd.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
    assert metadata["Version"] == tbd.__version__
    assert metadata["Author"] == "tbd contributors"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_payload().startswith("# tbd: ")
    assert metadata.get_all("Project-URL") == ["Paper, https://arxiv.org/abs/2208.03006"]
    # Installing tbd must not put one distribution of MMDetection over the other.
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert any(line.startswith("torch") for line in needed)
    assert not any("mm" in line for line in needed)


def test_the_wheel_carries_the_configs_of_the_repository(environment, far_away):
    code = "import tbd; print(tbd.__file__); print(tbd.configs_dir())"
    package, found = start(environment / "bin/python", "-c", code, cwd=far_away).split()[-2:]
    assert package.startswith(str(environment))
    assert found == f"{Path(package).parent}/.mim/configs"
    shipped = [
        str(path.relative_to(ROOT / "configs"))
        for path in (ROOT / "configs").rglob("*")
        if path.suffix in (".py", ".yml")
    ]
    assert set(CONFIGS) < set(shipped)
    assert filecmp.cmpfiles(ROOT / "configs", found, shipped, shallow=False) == (shipped, [], [])


def test_the_command_is_installed(environment, far_away):
    text = start(environment / "bin/tbd", "--help", cwd=far_away)
    assert all(f"  {name} " in text for name in COMMANDS)
    version = start(environment / "bin/tbd", "--version", cwd=far_away)
    assert version == f"tbd {tbd.__version__}\n"


def test_a_shipped_config_trains(environment, far_away):
    options = [f"{key}={value}" for key, value in SMALL.items()]
    start(
        environment / "bin/tbd",
        *["train", "tbd::shapes/retinanet_student_shapes.py", "--cfg-options", *options],
        cwd=far_away,
    )
    checkpoint = load_checkpoint("work_dirs/retinanet_student_shapes/epoch_1.pth")
    assert checkpoint["meta"]["iter"] == 2


def test_a_config_that_inherits_a_shipped_one_trains(environment, far_away):
    (far_away / "mine.py").write_text(
        '_base_ = "tbd::shapes/tbd_retinanet_shapes.py"\n'
        "model = dict(teacher_ckpt=None, allow_random_teacher=True)\n"
    )
    options = [f"{key}={value}" for key, value in SMALL.items()]
    start(
        environment / "bin/python",
        *["-m", "tbd", "train", "mine.py", "--cfg-options", *options],
        cwd=far_away,
    )
    assert load_checkpoint("work_dirs/mine/epoch_1.pth")["meta"]["iter"] == 2
    assert (far_away / "work_dirs/mine/student.pth").is_file()


def test_an_editable_installation_reads_the_configs_of_its_checkout(source, far_away):
    environment = far_away / "environment"
    environment.mkdir()
    install(build("editable", source, far_away / "out"), environment)
    (far_away / "mine.py").write_text('_base_ = "tbd::tbd_retinanet_r101_r50.py"\n')
    code = (
        "import tbd\n"
        "from mmengine.config import Config\n"
        "from mmengine.hub import get_config\n"
        "expected = Config.fromfile(tbd.configs_dir() / 'tbd_retinanet_r101_r50.py').to_dict()\n"
        "assert Config.fromfile('mine.py').to_dict() == expected\n"
        "assert get_config('tbd::tbd_retinanet_r101_r50.py').to_dict() == expected\n"
        "print(tbd.configs_dir())"
    )
    found = start(environment / "bin/python", "-c", code, cwd=far_away).splitlines()[-1]
    assert found == str(source / "configs")
    version = start(environment / "bin/tbd", "--version", cwd=far_away)
    assert version == f"tbd {tbd.__version__}\n"
