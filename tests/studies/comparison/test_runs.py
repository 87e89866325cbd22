import pytest
from tiny import retinanet
from tiny_run import config_dict, write_config, write_data

from tbd.studies.comparison.runs import (
    DATA_DIGEST,
    TEACHER_DIGEST,
    TEST_DIGEST,
    make_run,
    read_state,
)


@pytest.fixture
def distillation(tmp_path):
    """A distillation by a checkpoint that no run of the comparison has written."""
    model = dict(
        type="tbd.TeacherStudentDetector",
        student=retinanet(),
        teacher=retinanet(width=8),
        teacher_ckpt=str(tmp_path / "teacher.pth"),
        distill=dict(hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0)),
    )
    return write_config(tmp_path / "distilled.py", config_dict(tmp_path / "data", model))


def test_a_replaced_checkpoint_is_another_teacher(distillation, tmp_path):
    checkpoint = tmp_path / "teacher.pth"
    checkpoint.write_bytes(b"weights")
    run = make_run(distillation, 0, tmp_path / "out")
    older = {"fingerprint": run.fingerprint}
    state = {**older, TEACHER_DIGEST: run.teacher_digest}
    assert run.is_described_by(state)
    # As runs of older releases are, which have not noted it.
    assert run.is_described_by(older)
    assert not run.is_described_by({**state, "fingerprint": "other"})
    assert not run.is_described_by({})

    checkpoint.write_bytes(b"others!")
    replaced = make_run(distillation, 0, tmp_path / "out")
    assert replaced.fingerprint == run.fingerprint
    assert not replaced.is_described_by(state)
    assert replaced.is_described_by(older)

    # What is finished needs its teacher no more.
    checkpoint.unlink()
    assert make_run(distillation, 0, tmp_path / "out").is_described_by(state)


def test_changed_annotations_are_other_data(distillation, tmp_path):
    write_data(tmp_path / "data")
    annotations = tmp_path / "data" / "all.json"
    before = annotations.read_text()

    def plan():
        teacher = make_run(distillation, 7, tmp_path / "out")
        (teacher.folder / "last_checkpoint").parent.mkdir(parents=True, exist_ok=True)
        (teacher.folder / "last_checkpoint").write_text("epoch_1.pth")
        return make_run(distillation, 0, tmp_path / "out", teacher=teacher)

    run = plan()
    older = {"fingerprint": run.fingerprint}
    state = {**older, DATA_DIGEST: run.data_digest, TEST_DIGEST: run.test_digest}
    assert None not in state.values()
    assert run.is_described_by(state)
    assert run.is_measured_by(state)
    annotations.write_text(before.replace('"iscrowd": 0', '"iscrowd": 1', 1))
    changed = plan()
    assert changed.fingerprint == run.fingerprint
    assert not changed.is_described_by(state)
    assert not changed.is_measured_by(state)
    # What taught it was trained on others, too.
    assert not changed.is_described_by({**older, TEACHER_DIGEST: run.teacher_digest})
    # Of runs of older releases, and where the data is no longer there, nobody knows.
    assert changed.is_described_by(older)
    assert changed.is_measured_by(older)
    annotations.unlink()
    assert plan().is_described_by(state)
    assert plan().is_measured_by(state)


def test_a_folder_with_a_comma_is_no_list(distillation, tmp_path):
    teacher = make_run(distillation, 7, tmp_path / "one, two")
    teacher.folder.mkdir(parents=True)
    (teacher.folder / "last_checkpoint").write_text("epoch_1.pth")
    run = make_run(distillation, 0, tmp_path / "one, two", teacher=teacher)
    assert run.load().model.teacher_ckpt == str(teacher.folder / "epoch_1.pth")


def test_options_that_no_run_can_have_are_refused(distillation, tmp_path):
    plain = write_config(tmp_path / "plain.py", config_dict(tmp_path / "data", retinanet()))
    for config in (plain, distillation):
        with pytest.raises(ValueError, match=r"randomness\.seed=5: each run has a seed of its own"):
            make_run(config, 0, tmp_path / "out", ["randomness.seed=5"])
    option = [f"model.teacher_ckpt={tmp_path / 'other.pth'}"]
    with pytest.raises(ValueError, match=r"other\.pth: .* and .*plain\.py has no teacher"):
        make_run(plain, 0, tmp_path / "out", option)
    run = make_run(distillation, 0, tmp_path / "out", option)
    assert run.load().model.teacher_ckpt.endswith("other.pth")
    with pytest.raises(ValueError, match=r"distilled\.py is taught by plain"):
        make_run(distillation, 0, tmp_path / "out", option, make_run(plain, 0, tmp_path / "out"))


@pytest.mark.parametrize("content", ["", '{"fingerprint": "a", "met', "[]"])
def test_a_damaged_state_is_no_empty_one(content, tmp_path):
    assert read_state(tmp_path) == {}
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json is damaged.*Put a copy of the file back"):
        read_state(tmp_path)
