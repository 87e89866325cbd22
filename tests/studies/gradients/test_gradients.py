import pytest
import tiny
import torch
from finished_run import write_finished_run
from mmengine.config import Config
from tiny_run import write_data

from tbd.studies.gradients import (
    Direction,
    Directions,
    finished_directions,
    format_gradients,
    gradients,
    measure_gradients,
)


@pytest.fixture
def comparison(tmp_path):
    """Work directories of a teacher, a plain student, one by HD and two by PKD."""
    data, root = tmp_path / "data", tmp_path / "comparison"
    write_data(data)
    wide = tiny.retinanet(width=8, channels=16)
    write_finished_run(root, "wide", 0, wide, data)
    write_finished_run(root, "plain", 0, tiny.retinanet(), data)

    def wrapper(**distill):
        return tiny.wrapper(
            student=tiny.retinanet(),
            teacher=wide,
            teacher_ckpt=str(root / "wide/seed_0/epoch_1.pth"),
            distill=distill,
        )

    late = dict(type="tbd.HarmonyDistillation", schedule=dict(warm_up=100))
    write_finished_run(root, "hd", 0, wrapper(hd=late, dropped=None), data)
    pkd = wrapper(pkd=dict(type="tbd.PearsonFeatureDistillation"))
    for seed in (0, 1):
        write_finished_run(root, "pkd", seed, pkd, data)
    return root


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_each_loss_of_each_distillation_has_a_row(comparison, capsys):
    table = measure_gradients(comparison, batches=2)
    head, _, *rows = map(cells, table.splitlines())
    assert head == ["config", "loss", "runs", "size", "along `loss_cls`", "along `loss_bbox`"]
    assert [row[:3] for row in rows] == [
        ["the student's own, in all", "`loss_cls`", "3"],
        ["the student's own, in all", "`loss_bbox`", "3"],
        ["`hd`", "`hd.loss_harmony`", "1"],
        ["`pkd`", "`pkd.loss_feature`", "2"],
    ]
    assert rows[0][4] == rows[1][5] == "1"
    # The schedule counts for nothing: without its Runner it would stop the measurement.
    assert float(rows[2][3]) > 0
    assert (comparison / "gradients.md").read_text() == table + "\n"
    assert table in capsys.readouterr().out
    assert measure_gradients(comparison, batches=2) == table


def test_a_moved_folder_gives_the_same(comparison):
    table = measure_gradients(comparison, ["pkd"], batches=1)
    assert "`hd`" not in table
    moved = comparison.rename(comparison.with_name("moved"))
    assert measure_gradients(moved, ["pkd"], batches=1) == table


def test_a_run_is_measured_once_for_a_number_of_batches(comparison, monkeypatch):
    counts = []
    measure = gradients.measure_directions

    def counted(detector, batches):
        counts.append(1)
        return measure(detector, batches)

    monkeypatch.setattr(gradients, "measure_directions", counted)
    table = measure_gradients(comparison, ["pkd"], batches=1)
    assert measure_gradients(comparison, ["pkd"], batches=1) == table
    assert len(counts) == 2
    found = finished_directions(comparison)
    assert list(found) == [("pkd", 0), ("pkd", 1)]
    assert found["pkd", 0].batches == 1
    measure_gradients(comparison, ["pkd"], batches=2)
    assert len(counts) == 4
    # Another training in the same folder, and a file that cannot be read.
    state = comparison / "pkd/seed_1/run.json"
    state.write_text(state.read_text().replace("pkd1", "pkd2"))
    (comparison / "pkd/seed_0/directions.json").write_text("{")
    assert not finished_directions(comparison)
    measure_gradients(comparison, ["pkd"], batches=2)
    assert len(counts) == 6


def test_more_batches_than_an_epoch_has_are_those_of_the_epoch(comparison):
    whole = measure_gradients(comparison, ["hd"], batches=4)
    assert measure_gradients(comparison, ["hd"], batches=100) == whole
    assert measure_gradients(comparison, ["hd"], batches=1) != whole


def test_seeds_are_averaged_and_parts_that_are_missing_shown():
    found = {
        ("a", 0): Directions(1, {"loss_cls": Direction(1.0, {"loss_cls": 1.0})}),
        ("b", 0): Directions(1, {"hd.loss": Direction(2.0, {"loss_bbox": 0.5})}),
        ("b", 1): Directions(1, {"hd.loss": Direction(4.0, {"loss_bbox": 0.1})}),
    }
    _, _, a, b = map(cells, format_gradients(found).splitlines())
    assert a == ["the student's own, in all", "`loss_cls`", "1", "1.00", "1", "–"]
    assert b == ["`b`", "`hd.loss`", "2", "3.00 ± 1.41", "–", "0.30 ± 0.28"]


def test_a_paraphraser_that_was_trained_transfers(comparison, tmp_path):
    model = tiny.wrapper(
        student=tiny.retinanet(),
        teacher=tiny.retinanet(width=8, channels=16),
        teacher_ckpt=str(comparison / "wide/seed_0/epoch_1.pth"),
        distill=dict(ft=dict(type="tbd.FactorTransfer")),
    )
    folder = write_finished_run(comparison, "ft", 0, model, tmp_path / "data")
    checkpoint = torch.load(folder / "epoch_1.pth")
    checkpoint["state_dict"]["distill.ft.paraphraser_steps"].fill_(10)
    torch.save(checkpoint, folder / "epoch_1.pth")
    assert "`ft.loss_factor`" in measure_gradients(comparison, ["ft"], batches=1)


def test_a_preprocessor_beside_the_model_counts(comparison):
    table = measure_gradients(comparison, ["hd"], batches=1)
    file = comparison / "hd/seed_0/hd.py"
    config = Config.fromfile(file)
    config.data_preprocessor = config.model.student.pop("data_preprocessor")
    config.dump(file)
    (comparison / "hd/seed_0/directions.json").unlink()
    assert measure_gradients(comparison, ["hd"], batches=1) == table


def test_folders_without_a_distillation_are_refused(comparison, tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run"):
        measure_gradients(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no finished run of plain, tfd; it has hd, pkd"):
        measure_gradients(comparison, ["tfd", "plain"])
    for name, seed in (("hd", 0), ("pkd", 0), ("pkd", 1)):
        (comparison / f"{name}/seed_{seed}/run.json").unlink()
    with pytest.raises(ValueError, match="no finished distillation"):
        measure_gradients(comparison)
