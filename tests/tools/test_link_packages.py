"""What a new environment takes over from another one."""

import os
import subprocess
import venv

import pytest
from tiny_run import ROOT

MODULE = "answer = 42\n"


def add_package(packages, name, files):
    """What an installer leaves behind: the files and the record of them."""
    info = packages / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for path, text in files.items():
        (packages / path).parent.mkdir(parents=True, exist_ok=True)
        (packages / path).write_text(text)
    names = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))


@pytest.fixture
def environments(tmp_path):
    old, new = tmp_path / "old environment", tmp_path / "new"
    for folder in (old, new):
        venv.create(folder, symlinks=True)
    (packages,) = old.glob("lib/python*/site-packages")
    script = f"#!{old}/bin/python\nimport torch\n"
    files = {"torch/__init__.py": MODULE, "torch/lib/cuda.so": "0" * 99}
    add_package(packages, "torch", files | {"../../../bin/torchrun": script})
    add_package(packages, "nvidia-cudnn-cu13", {"nvidia/cudnn.so": "1" * 99})
    add_package(packages, "torchmetrics", {"torchmetrics/__init__.py": MODULE})
    return old, new


def link(old, new):
    return subprocess.run(
        [str(new / "bin/python"), str(ROOT / "tools/link_packages.py"), str(old)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_large_packages_share_their_files_and_scripts_know_their_interpreter(environments):
    old, new = environments
    # The rest of an attempt that was interrupted.
    (packages,) = new.glob("lib/python*/site-packages")
    (packages / "torch").mkdir()
    (packages / "torch/__init__.py").write_text("half a")
    link(old, new)
    for path in ("torch/__init__.py", "torch/lib/cuda.so", "nvidia/cudnn.so"):
        (before,) = old.glob(f"lib/python*/site-packages/{path}")
        assert os.path.samefile(before, packages / path)
    assert (new / "bin/torchrun").read_text() == f"#!{new}/bin/python\nimport torch\n"
    assert os.access(new / "bin/torchrun", os.X_OK)
    assert not (packages / "torchmetrics").exists()
    code = "import importlib.metadata as m, torch; print(m.version('torch'), torch.answer)"
    assert subprocess.check_output([new / "bin/python", "-c", code], text=True) == "1.0 42\n"


def test_what_cannot_be_linked_is_left_to_the_installer(environments):
    old, new = environments
    (packages,) = old.glob("lib/python*/site-packages")
    (packages / "nvidia/cudnn.so").unlink()
    assert "not linked, so it is installed anew" in link(old, new)
    assert not list(new.glob("lib/python*/site-packages/nvidia_cudnn*"))


def test_an_environment_of_another_python_lends_nothing(environments):
    old, new = environments
    (packages,) = old.glob("lib/python*/site-packages")
    packages.parent.rename(packages.parent.with_name("python2.7"))
    link(old, new)
    (target,) = new.glob("lib/python*/site-packages")
    assert not (target / "torch").exists()
