"""docs/own_data.md, followed from its configs to the student's files, on small images."""

import re
import shutil

import pytest
import tiny_run
import torch
from annotated_folders import as_voc
from documents import blocks, commands

from tbd.cli import run_command
from tbd.compat import load_checkpoint

PAGE = "docs/own_data.md"
SMALL = [
    "train_cfg.max_epochs=1",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "train_dataloader.dataset.pipeline.2.scale=(64,64)",
    "val_dataloader.num_workers=0",
    "val_dataloader.persistent_workers=False",
    "val_dataloader.dataset.pipeline.1.scale=(64,64)",
]
"""Settings of a short training on small images, over any of the page's configs."""


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with the page's data and configs, where the reader stands."""
    monkeypatch.setattr(tiny_run, "CLASSES", ("RBC", "WBC", "Platelets"))
    data = tmp_path / "data" / "cells"
    tiny_run.write_data(data)
    for split in ("train", "val"):
        (data / f"{split}.json").write_text((data / "all.json").read_text())
    for block in blocks("python"):
        if block.page == PAGE:
            path = tmp_path / block.path
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    monkeypatch.chdir(tmp_path)


def train(config, *options):
    run_command("train", [config, "--cfg-options", *SMALL, *options])


def page_commands():
    return [words for block in blocks("bash") if block.page == PAGE for words in commands(block)]


@pytest.mark.parametrize("form", ["cells", "voc"])
@pytest.mark.slow
def test_three_commands_lead_from_a_folder_to_a_plain_student(form, reader, tmp_path, capsys):
    if form == "voc":
        pytest.importorskip("supervision", reason="needs tbd[data]")
        as_voc(tmp_path / "data" / "cells", tmp_path / "data" / "voc")
    for name in ("train.json", "val.json"):
        (tmp_path / "data" / "cells" / name).unlink()
    shutil.rmtree(tmp_path / "cells")
    told = [words for words in page_commands() if words[1] in ("new", "train")]
    new, *trainings = told[:3] if form == "cells" else told[3:6]
    assert (new[2], [words[2] for words in trainings]) == (
        form,
        [f"{form}/teacher.py", f"{form}/distilled.py"],
    )
    # Smaller detectors of the same kind, and one epoch without downloads.
    small = {"r101": "r50", "r50": "r18"}
    new = [re.sub("r101|r50", lambda match: small[match[0]], word) for word in new]
    run_command("new", new[2:])
    assert "3 classes, 6 images to train on, 2 to validate" in capsys.readouterr().out
    loading = ["train_cfg.max_epochs=1", *(option for option in SMALL if "num_workers" in option)]
    loading += [option for option in SMALL if "persistent" in option]
    for words, options in zip(
        trainings,
        (
            ["model.backbone.init_cfg=None"],
            [
                "model.student.backbone.init_cfg=None",
                f"model.teacher_ckpt={form}/work_dirs/teacher/epoch_1.pth",
            ],
        ),
        strict=True,
    ):
        run_command("train", [words[2], "--cfg-options", *loading, *options])
    student = load_checkpoint(tmp_path / form / "work_dirs" / "distilled" / "student.pth")
    assert tuple(student["meta"]["dataset_meta"]["classes"]) == (
        tiny_run.CLASSES if form == "cells" else tuple(sorted(tiny_run.CLASSES))
    )
    assert student["state_dict"]["bbox_head.retina_cls.weight"].shape[0] == 9 * 3


@pytest.mark.slow
def test_the_commands_lead_from_data_to_a_plain_student(reader, tmp_path):
    page = [words for words in page_commands() if words[1] != "new"][4:]
    assert [words[1:3] for words in page[:3]] == [
        ["train", "cells/teacher.py"],
        ["pairs", "cells/distilled.py"],
        ["train", "cells/distilled.py"],
    ]
    train("cells/teacher.py", "model.backbone.init_cfg=None")
    run_command("pairs", ["cells/distilled.py"])
    train(
        "cells/distilled.py",
        "model.student.backbone.init_cfg=None",
        "model.teacher_ckpt=work_dirs/teacher/epoch_1.pth",
    )
    work = tmp_path / "work_dirs" / "distilled"
    assert (work / "student.py").is_file()
    student = load_checkpoint(work / "student.pth")["state_dict"]
    teacher = load_checkpoint(tmp_path / "work_dirs/teacher/epoch_1.pth")["state_dict"]
    assert student["bbox_head.retina_cls.weight"].shape == torch.Size([9 * 3, 256, 3, 3])
    assert len(student) < len(teacher)
    logged = load_checkpoint(work / "epoch_1.pth")["message_hub"]["log_scalars"]
    assert logged["train/hd.loss_harmony"].mean() > 0
    assert logged["train/tfd.loss_cls_feature"].mean() > 0
