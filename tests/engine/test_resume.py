import os
import shutil

import pytest
import torch
from mmengine.config import Config

from tbd.compat.checkpoint import UnsafeCheckpointError
from tbd.engine import find_resumable, resume, set_resume


def write_checkpoint(work_dir, epoch, seed=11, **changes):
    path = work_dir / f"epoch_{epoch}.pth"
    content = dict(
        meta=dict(epoch=epoch, iter=4 * epoch, seed=seed),
        state_dict=dict(weight=torch.full((2000,), float(epoch))),
        message_hub={},
        optimizer=dict(state={}),
    )
    torch.save(content | changes, path)
    # Files written within one clock tick would have no order.
    os.utime(path, (epoch, epoch))
    (work_dir / "last_checkpoint").write_text(str(path))
    return path


def epoch_of(work_dir):
    found = find_resumable(work_dir)
    return found and found[1]["meta"]["epoch"]


@pytest.fixture
def work_dir(tmp_path):
    for epoch in (9, 10):
        write_checkpoint(tmp_path, epoch)
    return tmp_path


def truncate(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_the_last_checkpoint_is_found(work_dir):
    assert epoch_of(work_dir) == 10


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_passed_over(work_dir, share, monkeypatch):
    messages = []
    monkeypatch.setattr(resume, "print_log", lambda text, *_: messages.append(text))
    truncate(work_dir / "epoch_10.pth", share)
    assert epoch_of(work_dir) == 9
    assert len(messages) == 1
    assert "epoch_10.pth" in messages[0]


def test_a_checkpoint_with_flipped_bits_is_passed_over(work_dir):
    content = bytearray((work_dir / "epoch_10.pth").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b"\xff" * 8
    (work_dir / "epoch_10.pth").write_bytes(content)
    assert epoch_of(work_dir) == 9


@pytest.mark.parametrize("record", ["", "\0\0\0", "{work_dir}/epoch_1", "{work_dir}/epoch_11.pth"])
def test_a_bad_last_checkpoint_file_is_no_obstacle(work_dir, record):
    (work_dir / "last_checkpoint").write_text(record.format(work_dir=work_dir))
    assert epoch_of(work_dir) == 10


def test_without_last_checkpoint_file_the_newest_is_taken(work_dir):
    (work_dir / "last_checkpoint").unlink()
    assert epoch_of(work_dir) == 10


def test_a_restarted_run_does_not_resume_the_older_one(work_dir):
    path = write_checkpoint(work_dir, 1)
    os.utime(path, (20, 20))
    assert epoch_of(work_dir) == 1


def test_a_moved_work_directory_resumes_from_its_own_files(work_dir, tmp_path_factory):
    moved = tmp_path_factory.mktemp("parent") / "moved"
    work_dir.rename(moved)
    found = find_resumable(moved)
    assert found is not None
    assert found[0] == moved / "epoch_10.pth"


def test_a_copied_work_directory_resumes_from_its_own_files(work_dir, tmp_path_factory):
    copied = tmp_path_factory.mktemp("parent") / "copied"
    shutil.copytree(work_dir, copied)
    write_checkpoint(work_dir, 11)
    found = find_resumable(copied)
    assert found is not None
    assert found[0] == copied / "epoch_10.pth"


def test_checkpoints_in_a_folder_of_their_own_are_found(work_dir, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    (work_dir / "last_checkpoint").rename(run / "last_checkpoint")
    torch.save(dict(meta={}, state_dict={}), run / "student.pth")
    assert epoch_of(run) == 10


def test_weights_that_are_no_numbers_are_passed_over(work_dir):
    write_checkpoint(work_dir, 11, state_dict=dict(weight=torch.tensor([1.0, float("nan")])))
    assert epoch_of(work_dir) == 10


def test_resume_in_a_config_is_looked_at_too(work_dir):
    truncate(work_dir / "epoch_10.pth", 0.5)
    cfg = Config(dict(work_dir=str(work_dir), resume=True))
    set_resume(cfg, None)
    assert cfg.load_from == str(work_dir / "epoch_9.pth")
    cfg = Config(dict(work_dir="w", resume=True, load_from=str(work_dir / "epoch_10.pth")))
    with pytest.raises(ValueError, match=r"cannot resume from .*epoch_10\.pth"):
        set_resume(cfg, None)


def test_checkpoints_without_training_state_are_not_resumed(work_dir):
    torch.save(dict(meta={}, state_dict={}), work_dir / "student.pth")
    torch.save(dict(meta={}, state_dict={}), work_dir / "best_bbox_mAP_epoch_10.pth")
    (work_dir / "last_checkpoint").unlink()
    assert epoch_of(work_dir) == 10


def test_a_checkpoint_that_is_not_data_is_not_replaced_by_a_new_run(work_dir):
    write_checkpoint(work_dir, 11, custom=os.getcwd)
    with pytest.raises(UnsafeCheckpointError, match="getcwd"):
        find_resumable(work_dir)


def test_nothing_to_resume(tmp_path):
    assert find_resumable(tmp_path) is None
    assert find_resumable(tmp_path / "absent") is None


def test_auto_sets_up_the_config(work_dir):
    cfg = Config(dict(work_dir=str(work_dir), load_from="pretrained.pth"))
    set_resume(cfg, "auto")
    assert cfg.resume is True
    assert cfg.load_from == str(work_dir / "epoch_10.pth")
    assert cfg.randomness.seed == 11


def test_a_configured_seed_is_kept(work_dir):
    cfg = Config(dict(work_dir=str(work_dir), randomness=dict(seed=0)))
    set_resume(cfg, "auto")
    assert cfg.randomness.seed == 0


def test_auto_without_checkpoint_starts_as_configured(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from="pretrained.pth"))
    set_resume(cfg, "auto")
    assert cfg.load_from == "pretrained.pth"
    assert not cfg.get("resume")


def test_no_resume_changes_nothing(work_dir):
    cfg = Config(dict(work_dir=str(work_dir)))
    set_resume(cfg, None)
    assert cfg.to_dict() == dict(work_dir=str(work_dir))


def test_a_named_checkpoint_is_checked(work_dir):
    cfg = Config(dict(work_dir="elsewhere"))
    set_resume(cfg, str(work_dir / "epoch_9.pth"))
    assert cfg.load_from == str(work_dir / "epoch_9.pth")
    truncate(work_dir / "epoch_10.pth", 0.5)
    with pytest.raises(ValueError, match=r"cannot resume from .*epoch_10\.pth"):
        set_resume(cfg, str(work_dir / "epoch_10.pth"))
    with pytest.raises(FileNotFoundError, match=r"epoch_11\.pth"):
        set_resume(cfg, str(work_dir / "epoch_11.pth"))


def test_a_url_is_left_to_the_runner():
    cfg = Config(dict(work_dir="work"))
    set_resume(cfg, "https://example.com/epoch_1.pth")
    assert cfg.resume is True
    assert cfg.load_from == "https://example.com/epoch_1.pth"
