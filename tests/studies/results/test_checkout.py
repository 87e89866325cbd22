import subprocess

import pytest

from tbd.compat import configs_dir
from tbd.studies.results.checkout import read_checkout

SHIPPED = "shapes/tbd_retinanet_shapes.py"


def git(folder, *arguments):
    command = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "source"
    (folder / "configs/shapes").mkdir(parents=True)
    (folder / "configs" / SHIPPED).write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_a_config_has_one_place_however_it_is_written(root):
    # Any folder of a checkout stands for it.
    checkout = read_checkout(root / "configs")
    assert (checkout.root, checkout.commit) == (root.resolve(), git(root, "rev-parse", "HEAD"))
    for config in (
        f"tbd::{SHIPPED}",
        f"configs/{SHIPPED}",
        f"./configs/../configs/{SHIPPED}",
        f"{root}/configs/{SHIPPED}",
        f"{configs_dir()}/{SHIPPED}",
    ):
        assert checkout.place_of(config) == f"configs/{SHIPPED}"


def test_a_config_that_the_commit_does_not_hold_is_refused(root):
    (root / "configs/new.py").write_text("")
    checkout = read_checkout(root)
    for config in ("configs/new.py", "tbd::none.py", "/elsewhere/plain.py", "../plain.py"):
        with pytest.raises(ValueError, match=rf"^{config} is not part of commit.*under configs/"):
            checkout.place_of(config)


def test_changes_that_no_commit_holds_are_refused(root):
    (root / "configs" / SHIPPED).write_text("model = dict()")
    with pytest.raises(ValueError, match=r"changes that no commit holds.*\n.*retinanet_shapes\.py"):
        read_checkout(root)


def test_what_is_no_checkout_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--source .*nowhere: git says .*Name the checkout"):
        read_checkout(tmp_path / "nowhere")
