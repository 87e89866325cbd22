import json
import shutil
import subprocess
from datetime import datetime, timedelta

import pytest
from mmengine.config import Config

from tbd.studies.comparison.runs import RUN_FORMAT
from tbd.studies.results.collect import collect, config_hash
from tbd.studies.results.record import read_records

HEAD = """2026/01/05 10:00:00 - mmengine - INFO -
System environment:
    sys.platform: linux
    Python: 3.11.7 (main) [GCC 12.2.0]
    PyTorch: 2.15.0+cu132
    TorchVision: 0.29.2
    MMEngine: 0.10.12
"""
PLAIN = """
data_root = "{root}/cells/"
model = dict(type="RetinaNet", bbox_head=dict(num_classes=3))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "val.json")
optim_wrapper = dict(lr={lr})
randomness = dict(seed={seed})
work_dir = "{root}/{seed}"
"""
DISTILLED = """
data_root = "{root}/cells/"
model = dict(
    type="tbd.TeacherStudentDetector",
    student="{root}/source/configs/cells/plain.py",
    teacher="{root}/source/configs/cells/big.py",
    teacher_ckpt="{root}/runs/big/seed_7/epoch_2.pth",
)
randomness = dict(seed={seed})
"""


def log(folder, start, seconds):
    """The log of a training that begins at ``start`` and takes some seconds."""
    file = folder / start / f"{start}.log"
    file.parent.mkdir(parents=True)
    end = datetime.strptime(start, "%Y%m%d_%H%M%S") + timedelta(seconds=seconds)
    file.write_text(f"{HEAD}{end:%Y/%m/%d %H:%M:%S} - mmengine - INFO - the end,\nin two lines\n")


def run(root, name, seed, text, *, finished=True, lr=0.1, **metrics):
    folder = root / f"runs/{name}/seed_{seed}"
    folder.mkdir(parents=True)
    state = {
        "format": RUN_FORMAT,
        "config": f"configs/cells/{name}.py",
        "seed": seed,
        "fingerprint": "x",
    }
    if finished:
        state["metrics"] = metrics
    (folder / "run.json").write_text(json.dumps(state))
    (folder / f"{name}.py").write_text(text.format(root=root, seed=seed, lr=lr))
    log(folder, "20260105_100000", 90)
    return folder


@pytest.fixture
def source(tmp_path):
    """A checkout, which a run's student and teacher are read from."""
    folder = tmp_path / "source"
    (folder / "configs/cells").mkdir(parents=True)
    for name in ("plain", "big", "other", "tbd_cells"):
        (folder / f"configs/cells/{name}.py").write_text(
            PLAIN.format(root=tmp_path, seed=0, lr=0.1)
        )
    for command in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


def test_a_finished_run_is_recorded(tmp_path, source):
    folder = run(tmp_path, "plain", 3, PLAIN, ap=41.5, harmony_score=0.7, mask_ap=None)
    log(folder, "20260105_120000", 30)
    test = folder / "test/20260105_120100/20260105_120100.json"
    test.parent.mkdir(parents=True)
    test.write_text(
        '{"harmony/harmonious": 0.25, "harmony/harmony_score": 0.9, "harmony/num_detections": null,'
        ' "coco/bbox_mAP": 0.1, "time": 3.0}'
    )

    added, unfinished = collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "two cores")
    assert (added, unfinished) == (1, [])
    (found,) = read_records(tmp_path / "cells.jsonl")
    assert (found.config, found.seed) == ("configs/cells/plain.py", 3)
    # What the comparison keeps stands; of the rest of the test, what the glossary knows is added.
    assert found.metrics == {"ap": 41.5, "harmony_score": 0.7, "harmonious": 25.0}
    # The two hours between the interruption and its resumption do not count.
    assert found.wall_seconds == 120
    assert found.started == "2026-01-05T10:00:00"
    assert found.versions["torch"] == "2.15.0+cu132"
    assert found.versions["python"] == "3.11.7"
    head = subprocess.run(
        ["git", "-C", source, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert found.versions["tbd"] == head.stdout.strip()
    assert found.hardware == "two cores"
    assert (found.baseline, found.teacher, found.teacher_seed) == (None, None, None)


def test_a_distillation_names_its_pair_and_the_run_that_teaches(tmp_path, source):
    run(tmp_path, "big", 7, PLAIN, ap=50.0)
    run(tmp_path, "tbd_cells", 0, DISTILLED, ap=45.0)
    collect([tmp_path / "runs/tbd_cells"], tmp_path / "cells.jsonl", source, "one core")
    (found,) = read_records(tmp_path / "cells.jsonl")
    assert (found.baseline, found.teacher, found.teacher_seed) == ("plain", "big", 7)


def test_plain_detectors_are_recorded_against_the_one_that_is_named(tmp_path, source):
    for name in ("plain", "other"):
        run(tmp_path, name, 0, PLAIN, ap=50.0)
    run(tmp_path, "tbd_cells", 0, DISTILLED, ap=45.0)
    collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core", baseline="plain")
    found = {record.name: record for record in read_records(tmp_path / "cells.jsonl")}
    assert {name: record.baseline for name, record in found.items()} == {
        "plain": None,
        "other": "plain",
        "tbd_cells": "plain",
    }
    assert found["other"].teacher is None


def test_versions_that_the_run_itself_wrote_down_count(tmp_path, source):
    file = run(tmp_path, "plain", 0, PLAIN, ap=1.0) / "run.json"
    state = json.loads(file.read_text()) | {"versions": {"torch": "2.4.0", "tbd": "0.1.0"}}
    file.write_text(json.dumps(state))
    collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
    (found,) = read_records(tmp_path / "cells.jsonl")
    assert (found.versions["torch"], found.versions["torchvision"]) == ("2.4.0", "0.29.2")
    assert len(found.versions["tbd"]) == 40


@pytest.mark.parametrize("commits", [["0" * 40], ["0" * 40, "1" * 40]])
def test_commits_that_the_run_itself_wrote_down_count(tmp_path, source, commits):
    file = run(tmp_path, "plain", 0, PLAIN, ap=1.0) / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"commits": commits}))
    collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
    (found,) = read_records(tmp_path / "cells.jsonl")
    assert found.commits == commits


def test_a_run_by_code_that_no_commit_holds_is_not_recorded(tmp_path, source):
    file = run(tmp_path, "plain", 0, PLAIN, ap=1.0) / "run.json"
    state = json.loads(file.read_text()) | {"commits": ["0" * 40, f"{'1' * 40}-changed"]}
    file.write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"seed_0 was trained by code .* no commit holds: 1{40} "):
        collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
    assert not (tmp_path / "cells.jsonl").exists()


def test_runs_that_go_on_are_named_and_not_recorded(tmp_path, source):
    folder = run(tmp_path, "plain", 0, PLAIN, finished=False)
    added, unfinished = collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
    assert (added, unfinished) == (0, [str(folder)])


def test_a_run_that_was_set_aside_is_not_recorded(tmp_path, source):
    run(tmp_path, "plain", 3, PLAIN, ap=41.5)
    run(tmp_path, "plain", 4, PLAIN, lr=0.2, ap=1.0).rename(
        tmp_path / "runs/plain/seed_3.replaced_1"
    )
    assert collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "a core") == (1, [])
    (found,) = read_records(tmp_path / "cells.jsonl")
    assert found.metrics == {"ap": 41.5}


def test_a_run_whose_config_was_changed_by_options_is_refused(tmp_path, source):
    file = run(tmp_path, "plain", 0, PLAIN, ap=1.0) / "run.json"
    state = json.loads(file.read_text())
    place = ["data_root=/elsewhere", "randomness.seed=0", "model.teacher_ckpt=big.pth"]
    file.write_text(json.dumps(state | {"options": [*place, "optim_wrapper.optimizer.lr=0.2"]}))
    with pytest.raises(ValueError, match=r"--cfg-options optim_wrapper.optimizer.lr, which"):
        collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
    file.write_text(json.dumps(state | {"options": place}))
    assert collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core") == (1, [])


def test_metrics_under_older_names_are_refused(tmp_path, source):
    file = run(tmp_path, "plain", 0, PLAIN, ap=1.0) / "run.json"
    file.write_text(file.read_text().replace(f'"format": {RUN_FORMAT}', '"format": 0'))
    with pytest.raises(ValueError, match="seed_0 was measured by an older release"):
        collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")


def test_a_folder_without_runs_is_refused(tmp_path, source):
    with pytest.raises(FileNotFoundError, match="no run"):
        collect([source], tmp_path / "cells.jsonl", source, "one core")


def dumped(folder, text, **values):
    folder.mkdir(exist_ok=True)
    (folder / "config.py").write_text(text.format(root=folder, **values))
    return Config.fromfile(str(folder / "config.py"))


def test_hash_ignores_seed_and_place_but_no_setting(tmp_path):
    here = config_hash(dumped(tmp_path / "a", PLAIN, seed=0, lr=0.1))
    assert config_hash(dumped(tmp_path / "b", PLAIN, seed=1, lr=0.1)) == here
    assert config_hash(dumped(tmp_path / "a", PLAIN, seed=0, lr=0.2)) != here
    other_data = PLAIN.replace("val.json", "test.json")
    assert config_hash(dumped(tmp_path / "a", other_data, seed=0, lr=0.1)) != here


def test_hash_sees_what_student_and_teacher_say(tmp_path, source):
    run(tmp_path, "big", 7, PLAIN, ap=50.0)
    cfg = Config.fromfile(str(run(tmp_path, "tbd_cells", 0, DISTILLED, ap=1.0) / "tbd_cells.py"))
    before = config_hash(cfg)
    assert config_hash(cfg) == before
    for name in ("plain", "big"):
        text = (source / f"configs/cells/{name}.py").read_text()
        (source / f"configs/cells/{name}.py").write_text(
            text.replace("num_classes=3", "num_classes=4")
        )
        assert config_hash(cfg) != before
        (source / f"configs/cells/{name}.py").write_text(text)
    state = tmp_path / "runs/big/seed_7/run.json"
    state.write_text(state.read_text().replace('"seed": 7', '"seed": 8'))
    assert config_hash(cfg) != before


def test_a_run_of_named_terms_is_recorded_under_its_pair(tmp_path, source):
    text = DISTILLED + "comparison = dict(pair='tbd::cells/tbd_cells.py', terms='{terms}')\n"
    for terms in ("fgd", "tbd+pkd"):
        run(tmp_path, f"{terms}_cells", 0, text.replace("{terms}", terms), ap=45.0)
    file = tmp_path / "cells.jsonl"
    assert collect([tmp_path / "runs"], file, source, "one core")[0] == 2
    found = {record.terms: record for record in read_records(file)}
    assert found["fgd"].config == "configs/cells/tbd_cells.py"
    assert [found[terms].name for terms in ("fgd", "tbd+pkd")] == ["fgd_cells", "tbd+pkd_cells"]
    assert (found["fgd"].baseline, found["fgd"].teacher) == ("plain", "big")
    # A second time, nothing is new; and the key by which all this is known is no setting.
    assert collect([tmp_path / "runs"], file, source, "one core")[0] == 0
    (tmp_path / "runs/fgd_cells/seed_0/fgd_cells.py").write_text(
        DISTILLED.format(root=tmp_path, seed=0)
    )
    assert config_hash(Config.fromfile(str(tmp_path / "runs/fgd_cells/seed_0/fgd_cells.py"))) == (
        found["fgd"].config_hash
    )


def rewrite(folder, **values):
    """Change what is known of a run."""
    state = json.loads((folder / "run.json").read_text()) | values
    (folder / "run.json").write_text(json.dumps(state))


def test_a_config_is_recorded_by_its_place(tmp_path, source):
    rewrite(run(tmp_path, "plain", 0, PLAIN, ap=1.0), config="tbd::cells/plain.py")
    rewrite(run(tmp_path, "plain", 1, PLAIN, ap=1.0), config="./configs/cells/plain.py")
    collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
    found = read_records(tmp_path / "cells.jsonl")
    assert [record.config for record in found] == ["configs/cells/plain.py"] * 2


def test_a_config_that_is_in_no_commit_is_refused(tmp_path, source):
    file = tmp_path / "cells.jsonl"
    text = DISTILLED + "comparison = dict(pair='{pair}', terms='fgd')\n"
    for pair in ("configs/cells/new.py", f"{tmp_path}/new.py"):
        run(tmp_path, "fgd_cells", 0, text.replace("{pair}", pair), ap=1.0)
        with pytest.raises(ValueError, match=r"new\.py is not part of commit"):
            collect([tmp_path / "runs"], file, source, "one core")
        shutil.rmtree(tmp_path / "runs")
    rewrite(run(tmp_path, "plain", 0, PLAIN, ap=1.0), config=f"{tmp_path}/plain.py")
    with pytest.raises(ValueError, match=r"plain\.py is not part of commit"):
        collect([tmp_path / "runs"], file, source, "one core")


def test_a_moved_work_directory_gives_the_same_record(tmp_path, source):
    run(tmp_path, "big", 7, PLAIN, ap=50.0)
    folder = run(tmp_path, "tbd_cells", 0, DISTILLED, ap=45.0)
    collect([tmp_path / "runs"], tmp_path / "here.jsonl", source, "one core")
    (tmp_path / "runs").rename(tmp_path / "moved")
    collect([tmp_path / "moved"], tmp_path / "there.jsonl", source, "one core")
    before, after = (read_records(tmp_path / f"{name}.jsonl") for name in ("here", "there"))
    assert before == after
    assert after[1].teacher_seed == 7
    # What the run itself wrote down counts, with the files that it names or without.
    rewrite(tmp_path / "moved/tbd_cells/seed_0", config_hash="its own")
    collect([tmp_path / "moved/tbd_cells"], tmp_path / "own.jsonl", source, "one core")
    assert [record.config_hash for record in read_records(tmp_path / "own.jsonl")] == ["its own"]
    assert not folder.exists()


def test_copying_the_logs_does_not_change_how_long_a_run_took(tmp_path, source):
    folder = run(tmp_path, "plain", 0, PLAIN, ap=1.0)
    (log,) = folder.glob("*/*.log")
    log.touch()
    collect([tmp_path / "runs"], tmp_path / "a.jsonl", source, "one core")
    assert read_records(tmp_path / "a.jsonl")[0].wall_seconds == 90

    # Some logs leave out the year.
    shutil.rmtree(log.parent)
    later = folder / "20261231_235950/20261231_235950.log"
    later.parent.mkdir()
    later.write_text("12/31 23:59:51 - mmengine - INFO - a\n01/01 00:00:20 - mmengine - INFO - b\n")
    collect([tmp_path / "runs"], tmp_path / "b.jsonl", source, "one core")
    assert read_records(tmp_path / "b.jsonl")[0].wall_seconds == 30


def test_damaged_files_of_a_run_are_named(tmp_path, source):
    folder = run(tmp_path, "plain", 0, PLAIN, ap=1.0)
    test = folder / "test/20260105_120100/20260105_120100.json"
    test.parent.mkdir(parents=True)
    test.write_text('{"harmony/harmonious": 0.2')

    def message(error):
        with pytest.raises(error) as caught:
            collect([tmp_path / "runs"], tmp_path / "cells.jsonl", source, "one core")
        return str(caught.value)

    assert f"{test} is no whole JSON file" in message(ValueError)
    test.write_text("{}")
    (log,) = folder.glob("*/*.log")
    log.write_text("nothing\n")
    assert f"{log}: no line begins with a time" in message(ValueError)
    log.unlink()
    assert f"{log} is not there" in message(FileNotFoundError)
    log.parent.rmdir()
    assert f"{folder}/<date>_<time>/<date>_<time>.log is not there" in message(FileNotFoundError)


def test_a_baseline_is_the_name_of_a_run_and_stays_what_it_was(tmp_path, source):
    for name in ("plain", "other"):
        run(tmp_path, name, 0, PLAIN, ap=50.0)
    file = tmp_path / "cells.jsonl"

    def record(baseline, *names):
        collect([tmp_path / "runs" / name for name in names], file, source, "a core", baseline)

    with pytest.raises(ValueError, match=r"--baseline plian: no run of that name.*other, plain"):
        record("plian", "plain", "other")
    record(None, "plain")
    # One that was recorded before will do.
    record("plain", "other")
    before = file.read_text()
    with pytest.raises(ValueError, match=r"other, seed 0.*baseline plain and .*baseline None"):
        record(None, "other")
    run(tmp_path, "other", 1, PLAIN, ap=50.0)
    with pytest.raises(ValueError, match=r"other has baseline plain .*seed 0.*None .*seed 1"):
        record(None, "other/seed_1")
    assert file.read_text() == before
