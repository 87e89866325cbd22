import subprocess
import sys
from contextlib import contextmanager

import pytest
from tiny import wrapper
from tiny_run import config_dict, process_environment, write_config, write_data

from tbd.engine import train, training
from tbd.engine.work_folder import only_training_in

HOLDER = """
import sys, time
from tbd.engine.work_folder import only_training_in
with only_training_in(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_training_in_one_folder_is_refused(tmp_path, monkeypatch):
    write_data(tmp_path / "data", images=2)
    config = write_config(tmp_path / "run.py", config_dict(tmp_path / "data", wrapper(), epochs=1))
    work_dir = str(tmp_path / "work")
    with only_training_in(work_dir):
        monkeypatch.setattr(only_training_in.__wrapped__, "__defaults__", (0, "none"))
        with pytest.raises(ValueError, match=r"work_dir=.*work' is that of another training"):
            train(config, work_dir)
        assert not list((tmp_path / "work").iterdir())
    train(config, work_dir)


def test_a_killed_training_leaves_the_folder_free(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env=process_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert any("held" in line for line in holder.stdout)
        with (
            pytest.raises(ValueError, match="another training"),
            only_training_in(str(tmp_path), 0),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with only_training_in(str(tmp_path), 5):
        pass
    assert not list(tmp_path.iterdir())


def test_one_process_of_a_training_acts_for_all(tmp_path, monkeypatch):
    # As with CUDA, where no process group is there yet.
    with only_training_in(str(tmp_path)):
        for launcher, name in (("pytorch", "RANK"), ("slurm", "SLURM_PROCID")):
            monkeypatch.setenv(name, "1")
            with only_training_in(str(tmp_path), 0, launcher):
                pass
            monkeypatch.setenv(name, "0")
            with (
                pytest.raises(ValueError, match="another training"),
                only_training_in(str(tmp_path), 0, launcher),
            ):
                pass


def test_what_is_resumed_is_chosen_when_the_other_training_has_ended(tmp_path, monkeypatch):
    write_data(tmp_path / "data", images=2)
    config = write_config(tmp_path / "run.py", config_dict(tmp_path / "data", wrapper(), epochs=2))
    work = tmp_path / "work"
    last = train(config, str(work)).checkpoint
    content = last.read_bytes()
    last.unlink()

    @contextmanager
    def others_end(folder, launcher):
        last.write_bytes(content)
        (work / "epoch_1.pth").unlink()
        yield

    monkeypatch.setattr(training, "only_training_in", others_end)
    assert train(config, str(work), resume="auto").checkpoint == last
    assert not (work / "epoch_1.pth").exists()


@pytest.mark.parametrize("folder", ["file", "file/sub"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, folder):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"work_dir=.*file.* cannot be written: .*give another"),
        only_training_in(str(tmp_path / folder)),
    ):
        pass
