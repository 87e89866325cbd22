import pytest
import tiny
from finished_run import write_finished_run
from tiny_run import write_data

from tbd.studies.gradients import Direction, format_gradients, measure_gradients


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
    assert head == ["config", "loss", "size", "along `loss_cls`", "along `loss_bbox`"]
    assert [row[:2] for row in rows] == [
        [f"`{name}`", f"`{loss}`"]
        for name, term in (("hd", "hd.loss_harmony"), ("pkd", "pkd.loss_feature"))
        for loss in ("loss_cls", "loss_bbox", term)
    ]
    assert rows[0][3] == "1.00"
    assert rows[3][3] == "1.00 ± 0.00"
    # The schedule counts for nothing: without its Runner it would stop the measurement.
    assert float(rows[2][2]) > 0
    assert (comparison / "gradients.md").read_text() == table + "\n"
    assert table in capsys.readouterr().out
    assert measure_gradients(comparison, batches=2) == table


def test_a_moved_folder_gives_the_same(comparison):
    table = measure_gradients(comparison, ["pkd"], batches=1)
    assert "`hd`" not in table
    moved = comparison.rename(comparison.with_name("moved"))
    assert measure_gradients(moved, ["pkd"], batches=1) == table


def test_more_batches_than_an_epoch_has_are_those_of_the_epoch(comparison):
    whole = measure_gradients(comparison, ["hd"], batches=4)
    assert measure_gradients(comparison, ["hd"], batches=100) == whole
    assert measure_gradients(comparison, ["hd"], batches=1) != whole


def test_seeds_are_averaged_and_parts_that_are_missing_shown():
    found = {
        ("a", 0): {"loss_cls": Direction(1.0, {"loss_cls": 1.0})},
        ("b", 0): {"hd.loss": Direction(2.0, {"loss_bbox": 0.5})},
        ("b", 1): {"hd.loss": Direction(4.0, {"loss_bbox": 0.1})},
    }
    _, _, a, b = map(cells, format_gradients(found).splitlines())
    assert a == ["`a`", "`loss_cls`", "1.00", "1.00", "–"]
    assert b == ["`b`", "`hd.loss`", "3.00 ± 1.41", "–", "0.30 ± 0.28"]


def test_folders_without_a_distillation_are_refused(comparison, tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run"):
        measure_gradients(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no finished run of plain, tfd; it has hd, pkd"):
        measure_gradients(comparison, ["tfd", "plain"])
    for name, seed in (("hd", 0), ("pkd", 0), ("pkd", 1)):
        (comparison / f"{name}/seed_{seed}/run.json").unlink()
    with pytest.raises(ValueError, match="no finished distillation"):
        measure_gradients(comparison)
