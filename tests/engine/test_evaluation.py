import pickle

import pytest
import torch
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config, write_data

from tbd.engine import evaluate, export_student, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished distillation: its folder has run.py and work/."""
    folder = tmp_path_factory.mktemp("evaluation")
    write_data(folder / "data")
    content = config_dict(folder / "data", wrapper(), epochs=1)
    train(write_config(folder / "run.py", content), str(folder / "work"))
    return folder


def predictions(config, checkpoint, tmp_path, name, **options):
    out = str(tmp_path / f"{name}.pkl")
    metrics = evaluate(config, checkpoint, str(tmp_path / name), out=out, **options)
    assert "coco/bbox_mAP" in metrics
    with open(out, "rb") as file:
        return [image["pred_instances"] for image in pickle.load(file)]


def test_a_distillations_student_is_evaluated_without_its_teacher(run, tmp_path):
    content = config_dict(run / "data", wrapper(teacher="no/such/config.py", teacher_ckpt="no.pth"))
    distillation = write_config(tmp_path / "distillation.py", content)
    plain = write_config(tmp_path / "plain.py", config_dict(run / "data", retinanet()))
    checkpoints = str(run / "work/epoch_1.pth"), str(run / "work/student.pth")
    found = [
        predictions(config, checkpoint, tmp_path, f"{name}{index}")
        for name, config in (("distillation", distillation), ("plain", plain))
        for index, checkpoint in enumerate(checkpoints)
    ]
    assert len(found[0]) == 8
    assert all(len(image["scores"]) > 0 for image in found[0])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.equal(one["bboxes"], two["bboxes"])
            assert torch.equal(one["scores"], two["scores"])


def test_the_config_that_a_training_keeps_is_not_replaced(run, tmp_path):
    before = (run / "work" / "run.py").read_text()
    assert "TeacherStudentDetector" in before
    evaluate(str(run / "run.py"), str(run / "work/student.pth"), str(run / "work"))
    assert (run / "work" / "run.py").read_text() == before
    assert "TeacherStudentDetector" not in (run / "work" / "test_run.py").read_text()


def test_the_exported_config_is_evaluated_too(run, tmp_path):
    export_student(str(run / "run.py"), str(run / "work/epoch_1.pth"), str(tmp_path))
    evaluate(str(tmp_path / "student.py"), str(tmp_path / "student.pth"), str(tmp_path / "work"))


def test_averaging_in_the_config_does_not_change_what_is_tested(run, tmp_path):
    content = config_dict(run / "data", wrapper())
    content["custom_hooks"] = [dict(type="EMAHook")]
    averaging = write_config(tmp_path / "averaging.py", content)
    checkpoint = str(run / "work/epoch_1.pth")
    one = predictions(str(run / "run.py"), checkpoint, tmp_path, "one")
    two = predictions(averaging, checkpoint, tmp_path, "two")
    assert all(torch.equal(a["scores"], b["scores"]) for a, b in zip(one, two, strict=True))


def test_pictures_are_written(run, tmp_path):
    evaluate(
        str(run / "run.py"), str(run / "work/epoch_1.pth"), str(tmp_path / "work"), show_dir="shown"
    )
    assert len(list((tmp_path / "work").glob("*/shown/*.png"))) == 8


def test_a_checkpoint_of_another_model_is_refused(run, tmp_path):
    config = write_config(tmp_path / "other.py", config_dict(run / "data", retinanet(classes=4)))
    with pytest.raises(ValueError, match=r"epoch_1\.pth.*\n.*another shape: bbox_head\.retina_cls"):
        evaluate(config, str(run / "work/epoch_1.pth"), str(tmp_path / "work"))


def test_options_are_checked_before_anything_is_built(run, tmp_path):
    arguments = str(run / "run.py"), str(run / "work/epoch_1.pth"), str(tmp_path / "work")
    with pytest.raises(ValueError, match=r"--out: 'boxes\.json' must end in \.pkl"):
        evaluate(*arguments, out="boxes.json")
    content = config_dict(run / "data", wrapper())
    del content["default_hooks"]["visualization"]
    config = write_config(tmp_path / "blind.py", content)
    with pytest.raises(ValueError, match=r"--show-dir need default_hooks\.visualization"):
        evaluate(config, *arguments[1:], show_dir="shown")
    with pytest.raises(FileNotFoundError, match=r"test_dataloader\.dataset\.ann_file"):
        evaluate(*arguments, options={"data_root": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        evaluate(str(run / "run.py"), str(tmp_path / "none.pth"), str(tmp_path / "work"))
    assert not (tmp_path / "work").exists()
