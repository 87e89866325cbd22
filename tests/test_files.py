import os
import signal
import subprocess
import sys
import threading

import pytest

from tbd.files import replacing, write_file


class FailureError(Exception):
    pass


def write_half(path, error):
    with replacing(path) as temporary:
        temporary.write_text("ha")
        raise error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    write_file(tmp_path / "new" / "a.csv", "x\r\nß\n")
    write_file(tmp_path / "new" / "b.bin", b"\x00\xff")
    assert (tmp_path / "new/a.csv").read_bytes() == "x\r\nß\n".encode()
    assert (tmp_path / "new/b.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "new") == ["a.csv", "b.bin"]


def test_the_body_writes_beside_the_file_under_its_suffix(tmp_path):
    target = tmp_path / "weights.pth"
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".pth"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [FailureError, KeyboardInterrupt, SystemExit])
def test_a_failing_body_changes_nothing(tmp_path, old, error):
    target = tmp_path / "a.json"
    if old is not None:
        target.write_text(old)
    with pytest.raises(error):
        write_half(target, error)
    assert (target.read_text() if target.exists() else None) == old
    assert names(tmp_path) == ([] if old is None else ["a.json"])


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, step):
    target = tmp_path / "a.json"
    target.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(target, "new")
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    steps = []
    sync, replace = os.fsync, os.replace

    def traced_sync(descriptor):
        steps.append(("sync", os.path.realpath(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def traced_replace(source, target):
        steps.append(("replace", str(source)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(os, "replace", traced_replace)
    with replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("new")
    expected = ["sync", "replace", "sync"]
    assert [kind for kind, _ in steps] == expected
    if os.path.isdir("/proc/self/fd"):
        paths = [str(temporary), str(temporary), str(tmp_path)]
        assert [path for _, path in steps] == [os.path.realpath(path) for path in paths]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    script = (
        "import os, signal, sys\n"
        "from tbd.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('ha')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    write_file(target, "new")
    assert target.read_text() == "new"


def test_writers_of_the_same_file_do_not_mix(tmp_path):
    target = tmp_path / "a.txt"
    both_write = threading.Barrier(2)

    def write(letter):
        with replacing(target) as temporary, temporary.open("w") as file:
            for _ in range(2):
                both_write.wait()
                file.write(letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_text() in ("a" * 2000, "b" * 2000)
    assert names(tmp_path) == ["a.txt"]


def test_a_link_keeps_pointing_to_the_file(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a.json"
    link.symlink_to(tmp_path / "disk" / "real.json")
    write_file(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "disk/real.json").read_text() == "new"


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path):
    target = tmp_path / "student.pth"
    if (child := os.fork()) == 0:
        with replacing(target) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    with replacing(target) as own:
        own.write_text("mine")
        # Of a process that is alive, this one, and of another file.
        os.waitpid(child, 0)
        (left,) = [path for path in tmp_path.iterdir() if str(child) in path.name]
        other = tmp_path / left.name.replace(".student.", ".teacher.")
        other.write_text("of another file")
        write_file(target, "second")
        assert not left.exists()
        assert own.exists()
        assert other.exists()
    assert target.read_text() == "mine"
