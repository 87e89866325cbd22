import pytest
from tiny import retinanet
from tiny_run import config_dict, write_config

from tbd.studies.comparison.runs import TEACHER_DIGEST, make_run, read_state


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


@pytest.mark.parametrize("content", ["", '{"fingerprint": "a", "met', "[]"])
def test_a_damaged_state_is_no_empty_one(content, tmp_path):
    assert read_state(tmp_path) == {}
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json is damaged.*Put a copy of the file back"):
        read_state(tmp_path)
