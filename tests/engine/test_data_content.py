import json
import os
import re

import pytest
import voc_data
from faulty_data import box, content, write
from mmdet.datasets import VOCDataset
from tiny import wrapper
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.cli import run_command
from tbd.engine import data_content, load_config, train
from tbd.engine.data_content import AnnotationSource, annotation_sources, report
from tbd.engine.runner import build_runner


@pytest.fixture
def run(tmp_path):
    write_data(tmp_path / "data")
    return config_dict(tmp_path / "data", wrapper(), epochs=1)


def change(tmp_path, mutate):
    path = tmp_path / "data" / "all.json"
    data = json.loads(path.read_text())
    mutate(data)
    path.write_text(json.dumps(data))


def start(tmp_path, run):
    train(write_config(tmp_path / "run.py", run), str(tmp_path / "work"))


def set_all(**values):
    def mutate(data):
        for annotation in data["annotations"]:
            annotation.update(values)

    return mutate


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (set_all(area=0), r"no box that .* learn from.*16 annotations on 8 images, 16 .*area"),
        (set_all(iscrowd=1), "no box that a detector could learn from.*16 crowd"),
        (set_all(bbox=[3, 3, 0, 0]), "no box that a detector could learn from.*less than a pixel"),
        (lambda data: data.update(annotations=[]), "0 annotations on 8 images"),
        (set_all(bbox=[3, 3, float("inf"), 9]), r"ann_file=.*has 16 infinite boxes \(first: 0, 1"),
        (lambda data: data["images"][0].update(width=0), "1 images whose width or height is no"),
        (lambda data: data["images"][0].update(file_name="no.png"), "1 images that are not there"),
    ],
)
def test_data_that_teach_nothing_stop_a_training_before_it_starts(tmp_path, run, mutate, message):
    change(tmp_path, mutate)
    with pytest.raises(ValueError, match=message) as error:
        start(tmp_path, run)
    assert str(tmp_path / "data" / "all.json") in str(error.value)
    assert not (tmp_path / "work").exists()


def test_a_training_without_iterations_is_refused(tmp_path, run):
    run["train_dataloader"] |= dict(batch_size=9, drop_last=True)
    with pytest.raises(ValueError, match="no batch: 8 images, batch_size=9, drop_last=True"):
        start(tmp_path, run)


def test_what_is_left_out_is_said_once_in_the_log_of_the_run(tmp_path, run, capfd):
    change(tmp_path, lambda data: data["annotations"][0].update(area=0))
    # Ends the training as soon as the data have been looked at.
    run["train_dataloader"] |= dict(batch_size=9, drop_last=True)
    with pytest.raises(ValueError, match="no batch"):
        start(tmp_path, run)
    (log,) = tmp_path.glob("work/*/*.log")
    for text in (log.read_text(), "".join(capfd.readouterr())):
        (line,) = [line for line in text.splitlines() if "leaves out" in line]
        assert "train_dataloader.dataset and val_dataloader.dataset: " in line
        assert "1 annotations whose area is not positive (first: 0)" in line


def test_mmdetections_own_training_says_it_too(tmp_path, run, capfd):
    change(tmp_path, lambda data: data["annotations"][0].update(area=0))
    run["train_dataloader"] |= dict(batch_size=9, drop_last=True)
    run["work_dir"] = str(tmp_path / "work")
    with pytest.raises(ValueError, match="no batch"):
        build_runner(load_config(write_config(tmp_path / "run.py", run))).train()
    assert "1 annotations whose area is not positive" in "".join(capfd.readouterr())


def test_a_check_is_remembered_by_content(tmp_path, monkeypatch):
    source = AnnotationSource("key", str(write(tmp_path, content(box(0)))), str(tmp_path), None)
    first = report(source, "header")
    monkeypatch.setattr(data_content, "check_annotations", lambda *_: pytest.fail("not remembered"))
    assert report(source, "header") == first
    monkeypatch.undo()
    write(tmp_path, content(box(0), box(1, area=0)))
    assert report(source, "header") != first


def test_an_image_that_is_put_back_is_seen(tmp_path, run):
    cfg = load_config(write_config(tmp_path / "run.py", run))
    (image, *_) = sorted((tmp_path / "data/images").iterdir())
    kept = image.read_bytes()
    image.unlink()
    with pytest.raises(ValueError, match="1 images that are not there"):
        data_content.check_content(cfg)
    image.write_bytes(kept)
    assert data_content.check_content(cfg) == []


def test_a_torn_or_unwritable_memory_is_no_obstacle(tmp_path, monkeypatch):
    source = AnnotationSource("key", str(write(tmp_path, content(box(0)))), str(tmp_path), None)
    monkeypatch.setenv("TBD_CACHE", str(tmp_path / "cache"))
    first = report(source, "none")
    (remembered,) = (tmp_path / "cache" / "data_checks").iterdir()
    remembered.write_text(remembered.read_text()[:20])
    assert report(source, "none") == first
    monkeypatch.setenv("TBD_CACHE", os.devnull)
    assert report(source, "none") == first


def test_sources_of_a_config(tmp_path, run):
    run["val_dataloader"]["dataset"]["backend_args"] = dict(backend="petrel")
    cfg = load_config(write_config(tmp_path / "run.py", run))
    (source,) = annotation_sources(cfg, ("train", "val"))
    assert source.key == "train_dataloader.dataset"
    assert source.file == f"{tmp_path}/data/all.json"
    assert source.image_folder == f"{tmp_path}/data/images/"
    assert source.classes == CLASSES


def test_the_command_prints_what_it_finds_and_writes_a_cleaned_copy(tmp_path, capsys):
    file = write(tmp_path / "data", content(box(0), box(1, bbox=[4, 4, float("inf"), 9])))
    arguments = [str(file), "--images", str(tmp_path / "data")]
    with pytest.raises(SystemExit) as exit_:
        run_command("check-data", arguments)
    assert exit_.value.code == 2
    printed = capsys.readouterr()
    assert "2 images, 2 annotations, 1 boxes to learn from" in printed.out
    assert "stop: 1 infinite boxes (first: 1)" in printed.out
    assert "--fix FOLDER" in printed.err
    run_command("check-data", [*arguments, "--fix", str(tmp_path / "clean")])
    run_command("check-data", [str(tmp_path / "clean/all.json"), *arguments[1:]])
    assert "1 boxes to learn from" in capsys.readouterr().out


@pytest.mark.parametrize("annotations", [(), [box(0, bbox=[0.1, 0.1, 0.5, 0.5])]])
def test_the_command_refuses_a_file_without_a_box(tmp_path, capsys, annotations):
    file = write(tmp_path, content(*annotations))
    with pytest.raises(SystemExit):
        run_command("check-data", [str(file)])
    assert f"{file} has no box to learn from" in capsys.readouterr().err


def test_the_command_reads_configs(tmp_path, run, capsys):
    run_command("check-data", [write_config(tmp_path / "run.py", run), "--split", "train"])
    assert "16 annotations, 16 boxes to learn from" in capsys.readouterr().out


def voc_dataset(root, **more):
    return (
        dict(
            type="VOCDataset",
            data_root=str(root),
            ann_file="train.txt",
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=voc_data.CLASSES),
            pipeline=[dict(type="LoadImageFromFile")],
        )
        | more
    )


@pytest.mark.openmmlab
def test_annotations_in_voc_format_stop_a_training_too(tmp_path, run):
    voc_data.write(tmp_path / "voc", voc_data.SIZE + voc_data.item("inf", 5, 25, 25))
    run["train_dataloader"]["dataset"] = voc_dataset(tmp_path / "voc")
    with pytest.raises(
        ValueError, match=r"train\.txt' has 1 infinite boxes \(first: 1\.xml object 0"
    ):
        start(tmp_path, run)
    voc_data.write(tmp_path / "empty", "")
    (tmp_path / "empty/Annotations/0.xml").write_text("<annotation/>")
    run["train_dataloader"]["dataset"] = voc_dataset(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"no box .*train\.txt: 0 annotations on 2 images"):
        start(tmp_path, run)


def test_a_cleaned_copy_in_voc_format_is_used_as_the_command_says(tmp_path, run, capsys):
    voc_data.write(tmp_path / "voc", voc_data.SIZE + voc_data.item() + voc_data.item(9, 9, 9, 9))
    run["train_dataloader"]["dataset"] = voc_dataset(tmp_path / "voc")
    command = [write_config(tmp_path / "run.py", run), "--split", "train"]
    run_command("check-data", [*command, "--fix", str(tmp_path / "clean")])
    printed = capsys.readouterr().out
    settings = dict(re.findall(r"train_dataloader\.dataset\.(ann_\w+)='(\S+)'", printed))
    options = [f"train_dataloader.dataset.{key}={value}" for key, value in settings.items()]
    assert len(options) == 2
    run_command("check-data", [*command, "--cfg-options", *options])
    assert "2 images, 2 annotations, 2 boxes to learn from" in capsys.readouterr().out
    arguments = voc_dataset(tmp_path / "voc", **settings)
    del arguments["type"]
    assert len(VOCDataset(**arguments)) == 2


def test_a_check_of_voc_is_remembered_by_the_content_of_its_files(tmp_path, run):
    voc_data.write(tmp_path / "voc", voc_data.SIZE + voc_data.item())
    run["train_dataloader"]["dataset"] = voc_dataset(tmp_path / "voc")
    (source,) = annotation_sources(load_config(write_config(tmp_path / "run.py", run)), ("train",))
    assert report(source, "none").findings == ()
    (tmp_path / "voc/Annotations/1.xml").unlink()
    assert report(source, "none").of("stop")


def other_file(tmp_path, name, mutate):
    data = json.loads((tmp_path / "data" / "all.json").read_text())
    mutate(data)
    path = tmp_path / "data" / name
    path.write_text(json.dumps(data))
    return str(path)


def test_a_validation_without_boxes_is_refused(tmp_path, run):
    file = other_file(tmp_path, "val.json", lambda data: data.update(annotations=[]))
    run["val_dataloader"]["dataset"]["ann_file"] = run["val_evaluator"]["ann_file"] = file
    message = r"val_dataloader\.dataset\.ann_file=.*val\.json' holds 0 .* would measure nothing"
    with pytest.raises(ValueError, match=message):
        start(tmp_path, run)


@pytest.mark.parametrize("many", [False, True])
def test_a_metric_of_other_images_is_refused_before_the_first_epoch(tmp_path, run, many):
    file = other_file(tmp_path, "half.json", lambda data: data.update(images=data["images"][:5]))
    run["val_evaluator"]["ann_file"] = file
    if many:
        run["val_evaluator"] = [run["val_evaluator"]]
    place = r"val_evaluator\[0\]" if many else "val_evaluator"
    with pytest.raises(ValueError, match=place + r"\.ann_file=.*lacks 3 of the 8 images"):
        start(tmp_path, run)
    # Of more images than are validated it may be.
    run["val_dataloader"]["dataset"]["ann_file"] = file
    for evaluator in run["val_evaluator"] if many else [run["val_evaluator"]]:
        evaluator["ann_file"] = str(tmp_path / "data" / "all.json")
    data_content.check_content(load_config(write_config(tmp_path / "run.py", run)))
