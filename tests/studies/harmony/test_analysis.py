import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from browser import screenshot
from tiny import faster_rcnn, retinanet, wrapper
from tiny_run import CLASSES, ROOT, config_dict, process_environment, write_config, write_data

from tbd.detectors import build_detector, resolve_model_config
from tbd.engine import evaluate
from tbd.predictions import UnsupportedHeadError
from tbd.studies.glossary import GLOSSARY
from tbd.studies.harmony import AnalysisSettings, Subject, analyze, measurement
from tbd.studies.harmony.analysis import _fingerprint as fingerprint
from tbd.studies.harmony.gains import with_gains
from tbd.studies.harmony.measurement import DetectorAnalysis
from tbd.studies.harmony.result import HarmonyResult

SETTINGS = AnalysisSettings(score_thr=0.2, pictures=(1,), nms_images=4)
NUMBERS = AnalysisSettings(score_thr=0.2, pictures=(), nms_images=1)


def save(path, model, seed=0, **meta):
    """A checkpoint of random weights whose scores are spread over [0, 1]."""
    torch.manual_seed(seed)
    built = build_detector(resolve_model_config(model))
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    torch.save({"state_dict": built.state_dict(), "meta": meta}, path)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "data")
    return tmp_path


def make(folder, name, model, seed=0, classes=None):
    """A config and a checkpoint of a detector."""
    content = config_dict(folder / "data", model)
    metric = dict(type="tbd.HarmonyMetric", score_thr=0.2)
    content["test_evaluator"] = [content["test_evaluator"], metric]
    config = write_config(folder / f"{name}.py", content)
    meta = dict(dataset_meta=dict(classes=classes)) if classes else {}
    return Subject(name, config, save(folder / f"{name}.pth", model, seed, **meta))


def results(folder):
    content = json.loads((folder / "out" / "harmony.json").read_text())
    return {found["name"]: found for found in content["detectors"]}


@pytest.mark.slow
def test_numbers_are_those_of_an_evaluation(folder, capsys):
    subjects = [
        make(folder, "plain", retinanet(), classes=CLASSES),
        make(folder, "distilled", wrapper(), seed=1),
        make(folder, "two_stage", faster_rcnn(), seed=2),
    ]
    tables = analyze(subjects, folder / "out", SETTINGS)
    assert tables in capsys.readouterr().out
    found = results(folder)
    for subject in subjects:
        metrics = found[subject.name]["metrics"]
        expected = evaluate(subject.config, subject.checkpoint, str(folder / subject.name))
        assert metrics["ap"] == pytest.approx(100 * expected["coco/bbox_mAP"], abs=0.06)
        for name, value in expected.items():
            if name.startswith("harmony/"):
                key = name.removeprefix("harmony/")
                scale = 100 if GLOSSARY[key].unit == "percent" else 1
                assert metrics[key] == pytest.approx(scale * value), name
        assert metrics["dense_num_predictions"] > 0
        assert metrics["nms_images"] == 4
        assert min(metrics[cost] for cost in ("params", "gflops", "milliseconds")) > 0
        histogram = found[subject.name]["iou_histogram"]
        assert sum(histogram) == metrics["num_detections"]
        density = np.array(found[subject.name]["density"])
        # Scores from 0.2 on, in cells of 0.02.
        assert density[10:].sum() == metrics["num_detections"]
        assert (density.sum(axis=0)[:25].sum() > 0) == (np.sum(histogram[:10]) > 0)

    out = folder / "out"
    with (out / "harmony.csv").open() as file:
        rows = {row["detector"]: row for row in csv.DictReader(file)}
    assert float(rows["plain"]["ap_lost"]) == found["plain"]["metrics"]["ap_lost"]
    page = (out / "report.html").read_text()
    for part in (
        *("plain", "distilled", "two_stage"),
        *("figures/iou_histogram", "figures/score_iou_density", "figures/calibration"),
        *("models/plain/maps_1", "models/two_stage/maps_1"),
    ):
        if "/" in part:
            assert (out / f"{part}.png").stat().st_size > 5000
        else:
            assert f"<td>{part}</td>" in page


@pytest.mark.slow
def test_what_is_finished_is_kept(folder, capsys, monkeypatch):
    subjects = [make(folder, name, retinanet(), seed) for seed, name in enumerate("ab")]
    run, runs = DetectorAnalysis.run, []

    def counted(self):
        runs.append(self._subject.name)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return run(self)

    monkeypatch.setattr(DetectorAnalysis, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        analyze(subjects, folder / "out", SETTINGS)
    tables = analyze(subjects, folder / "out", SETTINGS)
    assert runs == ["a", "b", "b"]
    assert "finished before" in capsys.readouterr().out
    before = results(folder)

    assert analyze(subjects, folder / "out", SETTINGS) == tables
    assert len(runs) == 3
    # Other weights under the same path.
    save(subjects[1].checkpoint, retinanet(), seed=9)
    analyze(subjects, folder / "out", SETTINGS)
    assert runs[3:] == ["b"]
    after = results(folder)
    assert after["a"] == before["a"]
    assert after["b"]["metrics"] != before["b"]["metrics"]
    # Another annotation.
    path = folder / "data" / "all.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"][2] += 1
    path.write_text(json.dumps(content))
    analyze(subjects, folder / "out", SETTINGS)
    assert runs[4:] == ["a", "b"]
    # Another threshold, and a result that a killed run left half-written.
    (folder / "out/models/a/result.json").write_text('{"fingerprint": ')
    analyze(subjects, folder / "out", AnalysisSettings(score_thr=0.4, pictures=(1,), nms_images=4))
    assert runs[6:] == ["a", "b"]
    # A result with a field less, and one whose picture is gone.
    for name, broken in (("a", '"metrics"'), ("b", None)):
        kept = folder / f"out/models/{name}/result.json"
        if broken:
            kept.write_text(kept.read_text().replace(broken, '"metric"'))
        else:
            (kept.parent / "maps_1.png").unlink()
    analyze(subjects, folder / "out", AnalysisSettings(score_thr=0.4, pictures=(1,), nms_images=4))
    assert runs[8:] == ["a", "b"]


def test_data_of_another_config_through_the_own_pipeline(folder):
    subject = make(folder, "small", retinanet())
    content = config_dict(folder / "data", retinanet())
    content["test_dataloader"]["dataset"]["pipeline"][1]["scale"] = (96, 96)
    large = write_config(folder / "large.py", content)

    def found(name, of, **data):
        # The time of an image is another one each time.
        return analyze([of], folder / name, NUMBERS, **data).partition("Costs")[0]

    expected = found("out", subject)
    # The data are the same, and so is the pipeline: the detector's.
    assert found("other", subject, data_config=large) == expected
    resized = Subject("small", large, subject.checkpoint)
    assert found("resized", resized, data_config=subject.config) != expected


def test_ground_truth_is_that_of_the_original_image(folder):
    subject = make(folder, "plain", retinanet())
    # What follows are times, which repeat nothing.
    expected = analyze([subject], folder / "out", NUMBERS).split("Costs")[0]
    # Loaded before a resizing that changes it, or not at all.
    for name, order in (("before", (0, 2, 1, 3)), ("without", (0, 1, 3))):
        content = config_dict(folder / "data", retinanet())
        pipeline = content["test_dataloader"]["dataset"]["pipeline"]
        assert [step["type"] for step in pipeline[1:3]] == ["Resize", "LoadAnnotations"]
        content["test_dataloader"]["dataset"]["pipeline"] = [pipeline[i] for i in order]
        other = Subject("plain", write_config(folder / f"{name}.py", content), subject.checkpoint)
        found = analyze([other], folder / name, NUMBERS).split("Costs")[0]
        assert found == expected


def test_a_detector_whose_dense_head_is_not_read(folder, monkeypatch):
    def refuse(*args):
        raise UnsupportedHeadError("no adapter reads it")

    monkeypatch.setattr(measurement, "DenseRecorder", refuse)
    model = retinanet()
    model["test_cfg"]["nms"] = dict(type="soft_nms", iou_threshold=0.5)
    tables = analyze([make(folder, "odd", model)], folder / "out", SETTINGS)
    assert "Scores against localization" in tables
    assert "Dense predictions" not in tables
    assert "NMS" not in tables
    notes = results(folder)["odd"]["notes"]
    assert "no adapter reads it" in notes[0]
    assert "rescores" in notes[1]
    assert "no adapter reads it" in (folder / "out" / "report.html").read_text()


def test_data_without_ground_truth(folder, capsys):
    path = folder / "data" / "all.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(annotations=[])))
    tables = analyze([make(folder, "plain", retinanet())], folder / "out", NUMBERS)
    assert "| AP" not in tables
    assert results(folder)["plain"]["metrics"]["mean_iou"] == 0
    assert "NaN" not in (folder / "out" / "harmony.json").read_text()


def test_no_confident_detection(folder):
    settings = AnalysisSettings(score_thr=1.0, pictures=(), nms_images=2)
    tables = analyze([make(folder, "plain", retinanet())], folder / "out", settings)
    metrics = results(folder)["plain"]["metrics"]
    assert metrics["num_detections"] == metrics["nms_objects"] == 0
    assert "pearson" not in metrics
    assert "nan" not in tables


@pytest.mark.parametrize(
    ("model_classes", "trained_for", "message"),
    [
        (3, ("bar", "tile", "square"), "in another order, first at index 1: 'tile' in the check"),
        (3, ("bar", "square", "disc"), "only the checkpoint has 'disc'"),
        (4, None, "tells apart 4 classes, the data .* has 3: 'bar', 'square', 'tile'"),
    ],
)
def test_classes_that_differ(folder, model_classes, trained_for, message):
    subject = make(folder, "odd", retinanet(classes=model_classes), classes=trained_for)
    with pytest.raises(ValueError, match=message):
        analyze([subject], folder / "out", SETTINGS)


def test_arguments_that_do_not_fit(folder):
    subject = make(folder, "plain", retinanet())
    with pytest.raises(ValueError, match="nothing to analyse"):
        analyze([], folder / "out")
    with pytest.raises(ValueError, match=r"two detectors are named plain.*--names"):
        analyze([subject, subject], folder / "out")
    with pytest.raises(ValueError, match=r"'a/b' cannot be a folder's name"):
        analyze([Subject("a/b", subject.config, subject.checkpoint)], folder / "out")
    with pytest.raises(ValueError, match=r"no image number 8; the data set has 8 images"):
        analyze([subject], folder / "out", AnalysisSettings(pictures=(0, 8)))
    with pytest.raises(
        ValueError, match=r"--baseline 'best' is none of the detectors; name one of plain"
    ):
        analyze([subject], folder / "out", baseline="best")
    with pytest.raises(ValueError, match=r"--teacher plain: the gap to which detector"):
        analyze([subject], folder / "out", teacher="plain")
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        analyze([Subject("plain", subject.config, "none.pth")], folder / "out")


@pytest.mark.slow
def test_command_line_and_report_in_a_browser(folder):
    subjects = [make(folder, name, retinanet(), seed) for seed, name in enumerate("ab")]
    command = [sys.executable, str(ROOT / "tools" / "analyze_harmony.py")]
    command += [path for s in subjects for path in (s.config, s.checkpoint)]
    command += ["--names", "first", "second", "--out-dir", str(folder / "out")]
    command += ["--score-thr", "0.2", "--nms-images", "4", "--pictures", "2"]
    command += ["--cfg-options", f"data_root={folder / 'data'}"]
    for finished in (False, True):
        result = subprocess.run(
            command, env=process_environment(), capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stderr[-4000:]
        assert ("finished before" in result.stdout) == finished
        assert "| second " in result.stdout
    refused = subprocess.run(command[:5], env=process_environment(), capture_output=True, text=True)
    assert refused.returncode == 2
    assert "a config and a checkpoint make a pair" in refused.stderr

    pixels = screenshot(folder / "out" / "report.html", height=6000)
    # Colours of the density, of the worse box's frame, and of the maps.
    for colour in ((216, 233, 245), (213, 94, 0), (0, 34, 78)):
        assert (np.abs(pixels.astype(int) - colour).max(axis=2) <= 2).sum() > 50, colour


def test_weights_in_bfloat16_have_a_fingerprint():
    weights = {"one": torch.ones(2, dtype=torch.bfloat16), "flag": torch.tensor(True)}
    other = weights | {"one": torch.tensor([1.0, 2.0], dtype=torch.bfloat16)}
    assert fingerprint(weights) == fingerprint(dict(weights)) != fingerprint(other)


def test_gap_classes_losses_and_onnxruntime(folder):
    pytest.importorskip("onnxruntime")
    subjects = [make(folder, name, retinanet(), seed) for seed, name in enumerate("ab")]
    log = folder / "20260101_000000" / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 3.0, "loss_cls": 1.0, "hd.loss_harmony": 2.0, "step": 1}\n')
    settings = AnalysisSettings(score_thr=0.2, pictures=(), nms_images=1, onnx=True)
    roles = dict(teacher="a", baseline="b")
    tables = analyze(subjects, folder / "out", settings, **roles)
    found = {name: result["metrics"] for name, result in results(folder).items()}
    for metrics in found.values():
        of_classes = [value for key, value in metrics.items() if key.startswith("ap/")]
        assert np.mean(of_classes) == pytest.approx(metrics["ap"])
        assert metrics["onnx_milliseconds"] > 0
    assert found["a"]["gain"] == found["a"]["ap"] - found["b"]["ap"]
    assert "gain" not in found["b"]
    head = next(line for line in tables.splitlines() if line.startswith("| detector"))
    assert "gain" in head
    assert all(name in tables.partition("AP of each class")[2] for name in CLASSES)
    assert (folder / "out" / "figures" / "losses.png").stat().st_size > 5000
    assert "onnxruntime" in (folder / "out" / "report.html").read_text()


def test_the_gap_needs_a_teacher_that_is_better():
    def result(name, ap):
        return HarmonyResult(name, "", "", 1, {"ap": ap}, (), (), (), (), None, ())

    detectors = [result("teacher", 50.0), result("plain", 40.0), result("tbd", 44.0)]
    teacher, plain, tbd = (r.metrics for r in with_gains(detectors, "teacher", "plain"))
    assert (teacher["gain"], tbd["gain"], tbd["gap_closed"]) == (10.0, 4.0, 40.0)
    assert plain.keys() == {"ap"}
    assert "gap_closed" not in with_gains(detectors, "plain", "teacher")[2].metrics
    assert with_gains(detectors, None, None) == detectors
