from tbd.studies.comparison.losses import STUDENT, read_losses
from tbd.studies.comparison.measurement import first_validation
from tbd.studies.comparison.scalars import read_scalars


def test_lines_that_cannot_be_read_are_passed_over(tmp_path):
    file = tmp_path / "20260101_000000" / "vis_data" / "scalars.json"
    file.parent.mkdir(parents=True)
    whole = (
        b'{"loss": 2.0, "loss_cls": 2.0, "step": 1}\n'
        b'{"coco/bbox_mAP": 0.1, "step": 1}\n{"coco/bbox_mAP": 0.2, "step": 2}\n'
    )
    # What a full disk and a power loss leave: a value that is no record, half a line, zeros.
    file.write_bytes(b"7\n" + whole + b'{"loss": 1.0, "lo\n' + b"\0" * 8 + b'\xff\n{"loss": 3')
    assert [record["step"] for record in read_scalars(tmp_path)] == [1, 1, 2]
    assert read_losses(tmp_path) == {STUDENT: ([1], [2.0])}
    assert first_validation(tmp_path)["coco/bbox_mAP"] == 0.1
