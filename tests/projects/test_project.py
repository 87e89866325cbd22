"""Configs for data of one's own: what stands in them, and that they are whole or not there."""

import ast
import json
import os
import shlex
import shutil
import signal

import pytest
import torch
from mmengine.config import Config
from tiny_run import CLASSES, write_data

from tbd.detectors import build_detector
from tbd.detectors.weights import without_pretrained
from tbd.engine.config import load_config
from tbd.projects import new_project
from tbd.projects.project import _class_list as class_list
from tbd.projects.recipe import Recipe, pair_recipes

STUDENT = "mmdet::retinanet/retinanet_r18_fpn_1x_coco.py"
TEACHER = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data", images=6)
    return tmp_path / "data"


def test_class_scores_that_learn_at_objects_alone_count_with_their_objectness(data):
    yolox = "mmdet::yolox/yolox_{}_8xb8-300e_coco.py"
    new_project("cells", "data", yolox.format("tiny"), yolox.format("s"))
    terms = load_config("cells/distilled.py").model.distill
    assert {term.confidence for term in terms.values()} == {"ranking"}


def test_three_configs_for_one_folder(data, tmp_path):
    project = new_project("cells", "data", STUDENT, TEACHER)
    folder = tmp_path / "cells"
    assert {path.name for path in folder.glob("*.py")} == {
        *("data.py", "teacher.py", "student.py", "distilled.py")
    }
    assert project.method == "TBD"
    assert project.commands == tuple(
        f"tbd train cells/{name}.py" for name in ("teacher", "distilled", "student")
    )
    student, distilled = (load_config(f"cells/{name}.py") for name in ("student", "distilled"))
    assert student.model.bbox_head.num_classes == len(CLASSES)
    dataset = student.train_dataloader.dataset
    assert dataset.metainfo.classes == CLASSES
    assert dataset.data_prefix.img == "data/images/"
    assert json.loads((tmp_path / dataset.ann_file).read_text())["images"]
    moved = load_config("cells/distilled.py", {"data_root": "/mnt/data"})
    assert moved.train_dataloader.dataset.data_prefix.img == "/mnt/data/images/"
    # The images were split, and the files of that belong to the configs.
    assert moved.val_evaluator.ann_file == "cells/annotations/val.json"
    # 64-pixel images need no 1333×800, and one device no rate for eight.
    assert [step.scale for step in dataset.pipeline if step.type == "Resize"] == [(64, 64)]
    assert student.optim_wrapper.optimizer.lr == pytest.approx(0.01 * 2 / 16)
    assert distilled.model.student == student.model
    assert distilled.model.teacher_ckpt == "cells/work_dirs/teacher/epoch_100.pth"
    assert (distilled.work_dir, student.work_dir) == (
        "cells/work_dirs/distilled",
        "cells/work_dirs/student",
    )
    assert all(len(line) <= 100 for f in folder.glob("*.py") for line in f.read_text().split("\n"))
    assert not list(tmp_path.glob(".cells*"))


@pytest.mark.parametrize(
    ("student", "teacher", "method", "classes"),
    [
        (
            "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
            "mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py",
            "TBD",
            lambda model: model.roi_head.bbox_head.num_classes,
        ),
        (
            "mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
            "mmdet::deformable_detr/deformable-detr-refine_r50_16xb2-50e_coco.py",
            "DETRDistill",
            lambda model: model.bbox_head.num_classes,
        ),
    ],
)
@pytest.mark.slow
def test_two_stages_and_queries(data, student, teacher, method, classes):
    project = new_project("cells", "data", student, teacher)
    assert project.method == method
    assert classes(load_config("cells/student.py").model) == len(CLASSES)


def test_numbers_of_classes_in_lists_and_beside_other_numbers():
    model = dict(
        rpn_head=dict(num_classes=1),
        roi_head=dict(bbox_head=[dict(num_classes=80, a=1), dict(num_classes=80)], mask_head=None),
    )
    recipe = Recipe("mmdet::x_8xb4.py", Config(dict(model=model, auto_scale_lr=dict(enable=False))))
    assert recipe.class_counts(2) == {
        "roi_head": {"bbox_head": [{"num_classes": 2, "a": 1}, {"num_classes": 2}]}
    }
    assert recipe.total_batch() == 32


def test_a_project_in_the_folder_of_the_data_is_no_part_of_them(data):
    first = new_project("data/cells", "data", STUDENT, TEACHER)
    logs = data / "cells" / "work_dirs"
    logs.mkdir()
    (logs / "scalars.json").write_text('{"loss": 1}\n{"loss": 2}\n')
    again = new_project("data/cells", "data", STUDENT, TEACHER, val_share=0.5, force=True)
    # The split is made anew; that of before was taken for the data.
    assert [len(found.data.val.sizes()) for found in (first, again)] == [1, 3]
    shutil.rmtree(data / "cells")
    # A folder around the data has them in it all the same.
    assert new_project(".", "data", STUDENT, TEACHER, force=True).data.kind == "COCO"


def test_nothing_is_overwritten_and_nothing_is_left_half_written(data, tmp_path):
    folder = tmp_path / "cells"
    with pytest.raises(ValueError, match="level_map"):
        new_project(folder, data, STUDENT, "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    folder.mkdir()
    (folder / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="--force"):
        new_project(folder, data, STUDENT, TEACHER)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    new_project(folder, data, STUDENT, STUDENT, force=True)
    assert (folder / "mine.txt").read_text() == "kept"
    assert (folder / "distilled.py").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file is a file; give another name"):
        new_project(tmp_path / "file", data, STUDENT, TEACHER, force=True)
    with pytest.raises(PermissionError, match="cannot be written"):
        new_project(tmp_path / "file" / "inside", data, STUDENT, TEACHER)


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGTERM), KeyboardInterrupt),
        (lambda: os.open("/dev/full", os.O_RDONLY | os.O_DIRECTORY), OSError),
    ],
)
def test_what_ends_in_the_middle_leaves_nothing(data, tmp_path, monkeypatch, happens, expected):
    monkeypatch.setattr("tbd.projects.project.build_trial", lambda model: happens())
    with pytest.raises(expected):
        new_project("cells", "data", STUDENT, TEACHER)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_thousands_of_classes_of_any_name_are_listed_at_once():
    for names in (
        ("Größe", "it's", 'a "b"', "back\\slash"),
        *[(f"class {i}",) * i for i in (1, 20)],
    ):
        assert ast.literal_eval(class_list(names).removeprefix("classes = ")) == names
    text = class_list([f"class {index}" for index in range(20_000)])
    assert max(map(len, text.splitlines())) <= 100


def test_thousands_of_classes_are_not_built_to_try_the_pair(data, tmp_path, monkeypatch):
    file = data / "all.json"
    content = json.loads(file.read_text())
    content["categories"] += [dict(id=i, name=f"class {i}") for i in range(9, 20_009)]
    file.write_text(json.dumps(content))
    tried = []
    monkeypatch.setattr("tbd.projects.project.build_trial", tried.append)
    new_project("many", "data", STUDENT, TEACHER)
    options = {"bbox_head": {"num_classes": 1000}}
    assert (tried[0]["student_options"], tried[0]["teacher_options"]) == (options, options)
    student = load_config("many/student.py")
    assert student.model.bbox_head.num_classes == len(content["categories"])
    assert load_config("many/distilled.py").model.get("student_options") is None


def test_commands_can_be_pasted(data):
    project = new_project("it's a ($) föld", "data", STUDENT, TEACHER)
    first = shlex.split(project.commands[0])[2]
    assert first == "it's a ($) föld/teacher.py"
    assert load_config("it's a ($) föld/distilled.py").model.teacher.endswith(first)
    with pytest.raises(ValueError, match="the path has a double quote"):
        new_project('a "b"', "data", STUDENT, TEACHER)


def test_recipes_must_be_recipes(data):
    with pytest.raises(ValueError, match=r"--student .* reads a tbd.ShapesDataset"):
        new_project("cells", data, "tbd::shapes/retinanet_student_shapes.py", TEACHER)
    with pytest.raises(ValueError, match=r"--teacher .* is no full config of a detector"):
        new_project("cells", data, STUDENT, "tbd::_base_/schedule.py")
    with pytest.raises(ValueError, match="learns from masks"):
        new_project("cells", data, "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", TEACHER)


def test_a_recipe_may_import_modules_of_its_own(data, tmp_path):
    for name in ("own", "string"):
        imports = "['json', 'tbd']" if name == "own" else "'json'"
        (tmp_path / f"{name}.py").write_text(
            f"_base_ = {STUDENT!r}\ncustom_imports = dict(imports={imports})\n"
        )
        new_project(f"cells_{name}", data, f"{tmp_path}/{name}.py", TEACHER)
        distilled = load_config(f"cells_{name}/distilled.py")
        assert distilled.custom_imports.imports == ["json", "tbd"]
        assert {term.type for term in distilled.model.distill.values()} == {
            "tbd.HarmonyDistillation",
            "tbd.TaskDecoupledFeatureDistillation",
        }
        assert distilled.default_hooks.checkpoint.max_keep_ckpts == 3


def test_a_recipe_of_ones_own_is_named_from_where_one_is(data, tmp_path):
    (tmp_path / "my recipes").mkdir()
    for name, base in (("small", STUDENT), ("large", "mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py")):
        (tmp_path / "my recipes" / f"{name}.py").write_text(f"_base_ = {base!r}\n")
    new_project("in here/cells", data, "my recipes/small.py", TEACHER)
    student = load_config("in here/cells/student.py")
    assert student.model.backbone.depth == 18
    assert student.optim_wrapper.optimizer.lr == pytest.approx(0.01 * 2 / 16)
    # The rate is for the 256 images in the name of what it inherits; its auto_scale_lr says 16.
    large = Recipe.of("my recipes/large.py", "--student")
    assert (large.total_batch(), large.learning_rate()) == (256, 0.004 * 32 / 256)
    (tmp_path / "my recipes" / "own.py").write_text(
        "_base_ = 'large.py'\nauto_scale_lr = dict(base_batch_size=64)\n"
    )
    assert Recipe.of("my recipes/own.py", "--student").total_batch() == 64


def test_a_recipe_with_a_key_that_the_data_needs_is_refused(data, tmp_path):
    (tmp_path / "own.py").write_text(f"_base_ = {STUDENT!r}\nclasses = ('a',)\n")
    with pytest.raises(ValueError, match=r"--student .* has a key 'classes' of its own"):
        new_project("cells", data, f"{tmp_path}/own.py", TEACHER)


def test_a_checkpoint_of_something_else_is_refused(data, tmp_path):
    for state in ({}, {"conv.weight": torch.zeros(3)}):
        torch.save({"state_dict": state}, "other.pth")
        with pytest.raises(ValueError, match=r"--teacher-ckpt other\.pth: none of its \d weights"):
            new_project("cells", data, STUDENT, STUDENT, teacher_ckpt="other.pth")
    assert not (tmp_path / "cells").exists()


@pytest.fixture(scope="module")
def weights():
    model = without_pretrained(load_config(STUDENT).model)
    model.bbox_head.num_classes = len(CLASSES)
    return build_detector(model).state_dict()


def test_a_checkpoint_that_knows_the_classes_teaches(data, tmp_path, weights):
    for classes, ready in ((CLASSES, True), (("cat", "dog"), False)):
        state = weights if ready else {"bbox_head.retina_cls.bias": torch.zeros(9)}
        torch.save({"meta": {"dataset_meta": {"classes": classes}}, "state_dict": state}, "big.pth")
        project = new_project("cells", data, STUDENT, STUDENT, teacher_ckpt="big.pth", force=True)
        teacher, distilled = (load_config(f"cells/{n}.py") for n in ("teacher", "distilled"))
        assert teacher.load_from == (None if ready else "big.pth")
        assert (distilled.model.teacher_ckpt == "big.pth") == ready
        assert any("knows these classes" in note for note in project.notes) == ready
        assert any("of 2 other classes" in note for note in project.notes) != ready
        assert len(project.commands) == (2 if ready else 3)


def test_a_teacher_that_knows_the_classes_is_of_its_config(data, tmp_path, weights):
    torch.save({"meta": {"dataset_meta": {"classes": CLASSES}}, "state_dict": weights}, "r18.pth")
    with pytest.raises(ValueError, match=r"r18\.pth, which knows these classes") as refused:
        new_project("cells", data, STUDENT, TEACHER, teacher_ckpt="r18.pth")
    assert f"detector of --teacher {TEACHER}" in str(refused.value)
    assert "backbone.layer1.0.conv1.weight [64, 64, 3, 3] in the checkpoint, [64, 64, 1, 1]" in str(
        refused.value
    )
    assert not (tmp_path / "cells").exists()


@pytest.mark.parametrize(
    ("pair", "student", "teacher"),
    [
        ("tbd_retinanet_r101_r50", "retinanet_r50_fpn_2x_coco", "retinanet_r101_fpn_2x_coco"),
        ("mgd/mgd_gfl_r101_r50", "gfl_r50_fpn_1x_coco", "gfl_r101_fpn_ms-2x_coco"),
        ("detrdistill/detrdistill_dino_swin-l_r50", "dino-4scale_r50", "dino-5scale_swin-l"),
    ],
)
def test_a_shipped_pair_names_both_recipes(pair, student, teacher):
    found = pair_recipes(f"tbd::{pair}.py")
    assert f"/{student}" in found[0]
    assert f"/{teacher}" in found[1]


def test_a_pair_of_other_detectors_is_refused():
    with pytest.raises(ValueError, match="--student and --teacher"):
        pair_recipes("tbd::shapes/tbd_retinanet_shapes.py")
