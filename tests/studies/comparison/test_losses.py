import json

from tbd.studies.comparison.losses import STUDENT, read_losses
from tbd.visualization.training_curves import draw_training_curves


def log(folder, name, *records):
    file = folder / name / "vis_data" / "scalars.json"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_losses_are_summed_by_owner_over_the_logs_of_a_resumed_run(tmp_path):
    of_terms = {"hd.loss_harmony": 0.5, "tfd.loss_a": 1.0, "tfd.loss_b": 2.0, "tfd.weight": 9.0}
    # Layers of a decoder and stages of a cascade are the student's own.
    own = {"loss_cls": 1.0, "d0.loss_cls": 2.0, "s1.loss_bbox": 3.0, "dn_loss_iou": 4.0}
    log(
        tmp_path,
        "first",
        dict(step=1, loss=13.5, **own, **of_terms),
        {"coco/bbox_mAP": 0.1, "step": 1},
    )
    log(
        tmp_path,
        "second",
        dict(step=2, loss=8.0, loss_cls=8.0, **{"hd.loss_harmony": float("nan")}),
    )
    assert read_losses(tmp_path) == {
        STUDENT: ([1, 2], [10.0, 8.0]),
        "hd": ([1], [0.5]),
        "tfd": ([1], [3.0]),
    }


def test_a_run_that_logged_nothing_has_no_losses(tmp_path):
    assert read_losses(tmp_path) == {}


def test_every_training_gets_a_panel():
    curves = {"a": (range(1, 101), [1 / (i + 1) for i in range(100)]), "b": ([1], [2.0])}
    widths = []
    for count in (1, 2):
        figure = draw_training_curves({f"run {i}": curves for i in range(count)})
        widths.append(figure.get_figwidth())
    assert widths[1] == 2 * widths[0]
