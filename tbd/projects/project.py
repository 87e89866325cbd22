"""Three short configs, of a teacher, a plain and a distilled student, for data of one's own."""

import json
import os
import shlex
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from yapf.yapflib.yapf_api import FormatCode  # type: ignore[import-untyped]

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.classes import checkpoint_classes
from tbd.detectors.quiet import quiet_logger
from tbd.detectors.trial import build_trial
from tbd.detectors.weights import load_strictly, without_pretrained
from tbd.distill import UnsuitablePairError
from tbd.engine.config import load_config
from tbd.files import write_file
from tbd.interruption import termination_as_interrupt
from tbd.projects.annotations import counted
from tbd.projects.data_folder import Data, read_data
from tbd.projects.recipe import Recipe
from tbd.projects.schedule import fit_schedule

_PARTS = ("train", "val")
CONFIGS = ("teacher", "student", "distilled")
_FEW_STEPS = 2000
_MANY_CLASSES = 1000
_CLASSES = "classes = ()"

# Of weights as trainings write them: of several processes, of a distilled student.
_PREFIXES = ("", "module.", "student.", "module.student.")
# Heads whose class scores learn at objects alone and mean nothing elsewhere without objectness.
_LEARNS_AT_OBJECTS = ("YOLOXHead", "YOLOV3Head")
# What is distilled by, the first that the pair can carry.
_TERMS = {
    "TBD": None,
    "DETRDistill": {"detrdistill": {"type": "tbd.QueryDistillation", "negative_weight": 0.0}},
    "PKD": {"pkd": {"type": "tbd.PearsonFeatureDistillation", "loss_weight": 6.0}},
}


@dataclass(frozen=True)
class Project:
    """What was written.

    Attributes:
        folder: Folder of the configs.
        data: What the configs are about.
        method: What they distil by.
        notes: What somebody should know before training.
        commands: What to run, in this order.
    """

    folder: Path
    data: Data
    method: str
    notes: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class _ShippedParts:
    """Lines and values of a distillation's config that come from the shipped base.

    Attributes:
        base: The line that inherits.
        imports: The line of ``custom_imports``, where it is not inherited.
        hooks: Value of ``default_hooks``.
        terms: Value of ``model.distill``.
    """

    base: str
    imports: tuple[str, ...]
    hooks: str
    terms: str


def new_project(
    folder: str | os.PathLike[str],
    data: str | os.PathLike[str],
    student: str,
    teacher: str,
    *,
    teacher_ckpt: str | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    force: bool = False,
) -> Project:
    """Write the configs of a distillation on data of one's own.

    Args:
        folder: Folder to make.
        data: Folder with images and annotations: COCO, Pascal VOC or YOLO.
        student: Config of MMDetection whose recipe the student is trained by.
        teacher: Likewise of the teacher.
        teacher_ckpt: Checkpoint of the teacher. One that knows the classes of the data teaches as
            it is; from any other the teacher's training starts, its classifier left out.
        val_share: Part of the images for validation, where the data has no such split.
        seed: Seed of that choice.
        force: Write into a folder that is there; other files in it stay.

    Returns:
        What was written.

    Raises:
        FileExistsError: The folder is there.
        FileNotFoundError: Data, images, a config or the checkpoint is not there.
        ImportError: See :func:`~tbd.projects.data_folder.read_data`.
        PermissionError: The folder cannot be written.
        ValueError: Data or recipes are not what they should be, or cannot be distilled.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise FileExistsError(f"{target} is a file; give another name for the folder.")
    if target.exists() and not force and any(target.iterdir()):
        raise FileExistsError(
            f"{target} is there; give another folder, or --force to write into it."
        )
    # MMEngine puts the folder of a config into its text.
    if set(target.absolute().as_posix()) & set('"\\\n'):
        raise ValueError(
            f"{target.absolute()}: the path has a double quote, a backslash or a line break, with "
            "which MMEngine cannot read a config that names its own folder; take another folder."
        )
    recipes = {
        "teacher": Recipe.of(teacher, "--teacher"),
        "student": Recipe.of(student, "--student"),
    }
    found = read_data(Path(data), val_share, seed, target)
    _check_masks(recipes, found)
    ready, notes = _checkpoint(teacher_ckpt, found.train.classes, recipes["teacher"])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise PermissionError(f"{target} cannot be written: {error}.") from error
    with termination_as_interrupt(), _removed(draft):
        files = _write_annotations(found, draft, target)
        text = _formatted(_data_config(found, files, recipes))
        write_file(draft / "data.py", text.replace(_CLASSES, _class_list(found.train.classes)))
        for name, recipe in recipes.items():
            start = teacher_ckpt if name == "teacher" and not ready else None
            _write(draft / f"{name}.py", _detector_config(name, recipe, found, target, start))
        checkpoint = teacher_ckpt if ready else _last_checkpoint(recipes["teacher"], found, target)
        many = {
            f"{name}_options": recipe.class_counts(_MANY_CLASSES)
            for name, recipe in recipes.items()
            if len(found.train.classes) > _MANY_CLASSES
        }
        method = _write_distilled(draft, target, str(checkpoint), many, recipes["student"])
        _move(draft, target)
    trained = [name for name in CONFIGS if not (ready and name == "teacher")]
    order = [name for name in ("teacher", "distilled", "student") if name in trained]
    commands = tuple(f"tbd train {shlex.quote(f'{target.as_posix()}/{name}.py')}" for name in order)
    return Project(
        target, found, method, (*found.notes, *notes, *_length(recipes["student"], found)), commands
    )


def _check_masks(recipes: Mapping[str, Recipe], data: Data) -> None:
    for name, recipe in recipes.items():
        masks = [a.get("segmentation") for a in data.train.content["annotations"]]
        if recipe.masks() and not all(masks):
            raise ValueError(
                f"--{name} {recipe.name} learns from masks, and the data has boxes without; take a "
                "detector of boxes."
            )


def _checkpoint(
    checkpoint: str | None, classes: Sequence[str], teacher: Recipe
) -> tuple[bool, tuple[str, ...]]:
    """Whether a checkpoint's teacher knows the classes, and what to say of it."""
    if checkpoint is None:
        return False, ()
    loaded = load_checkpoint(checkpoint)
    weights = loaded.get("state_dict", loaded)
    with quiet_logger():
        detector = build_detector(without_pretrained(resolve_model_config(teacher.cfg.model)))
    names = {f"{start}{name}" for name in detector.state_dict() for start in _PREFIXES}
    if not names & set(weights):
        raise ValueError(
            f"--teacher-ckpt {checkpoint}: none of its {len(weights)} weights is one of "
            f"{teacher.name}; give a checkpoint of that detector."
        )
    known = checkpoint_classes(loaded)
    if known is not None and tuple(known) == tuple(classes):
        _check_teaches(loaded, checkpoint, teacher, len(known))
        return True, (f"{checkpoint} knows these classes and teaches as it is",)
    count = "unknown classes" if known is None else f"{len(known)} other classes"
    return False, (
        f"{checkpoint} is of {count}: the teacher's training starts from it, without the layers "
        "whose shape differs, such as the classifier",
    )


def _check_teaches(loaded: Mapping[str, Any], checkpoint: str, teacher: Recipe, count: int) -> None:
    """Refuse what the distillation would refuse once the images are read."""
    model = Config({"model": teacher.cfg.model})
    model.merge_from_dict({"model": teacher.class_counts(count)})
    with quiet_logger():
        detector = build_detector(without_pretrained(resolve_model_config(model.model)))
    load_strictly(
        detector,
        loaded,
        f"--teacher-ckpt {checkpoint}, which knows these classes,",
        role=f"detector of --teacher {teacher.name}, a",
        advice="Give the config as --teacher that the checkpoint was trained with.",
    )


def _write_annotations(data: Data, draft: Path, target: Path) -> dict[str, str]:
    """Write annotations that were made here; return the file of each split."""
    files = {}
    for name, part in (("train", data.train), ("val", data.val)):
        if part.file is not None:
            files[name] = part.file.as_posix()
            continue
        content = json.dumps(part.content, ensure_ascii=False)
        write_file(draft / "annotations" / f"{name}.json", content)
        files[name] = (target / "annotations" / f"{name}.json").as_posix()
    return files


def _data_config(data: Data, files: Mapping[str, str], recipes: Mapping[str, Recipe]) -> str:
    counts = data.train.boxes_by_class()
    few = list(counts.items())[:12]
    listed = ", ".join(f"{name} {count}" for name, count in few)
    more = ", …" if len(counts) > len(few) else ""
    scale = _scale(data, recipes)
    seen = f" Images are seen at {scale[0]}×{scale[1]} pixels." if scale else ""
    lines = [
        _docstring(
            f"{counted(counts, 'class', 'classes')} from {data.kind}: {len(data.train.sizes())} "
            f"images to train on, {len(data.val.sizes())} to validate.\n\n"
            f"Boxes to train on: {listed}{more}.{seen}"
        ),
        "",
        _CLASSES,
        "data = dict(",
    ]
    for name, part in (("train", data.train), ("val", data.val)):
        settings: dict[str, Any] = {
            "data_root": "",
            "ann_file": files[name],
            "data_prefix": {"img": f"{part.images.as_posix()}/"},
        }
        if scale:
            settings["pipeline"] = recipes["student"].pipeline(name, scale)
        lines.append(f"{name}=dict(metainfo=dict(classes=classes), {_source(settings)[5:]},")
    return "\n".join([*lines, ")"])


def _scale(data: Data, recipes: Mapping[str, Recipe]) -> tuple[int, int] | None:
    """A smaller image scale than that of the recipes, where both agree on it."""
    student, teacher = recipes["student"], recipes["teacher"]
    scale = student.image_scale(data.train.sizes())
    same = all(student.leaf(p)[1]["pipeline"] == teacher.leaf(p)[1]["pipeline"] for p in _PARTS)
    return scale if same else None


def _detector_config(name: str, recipe: Recipe, data: Data, target: Path, start: str | None) -> str:
    what = "teacher" if name == "teacher" else "plain student"
    rate, batch = recipe.learning_rate(), recipe.batch()
    schedule = fit_schedule(recipe, len(data.train.sizes()))
    longer = schedule.settings if schedule else {}
    length = ""
    if schedule and schedule.epochs != recipe.epochs():
        length = (
            f" Trained for {schedule.epochs} epochs, {schedule.steps:,} steps, in place of the "
            f"recipe's {recipe.epochs()}, which are few on so few images; the schedule is "
            "stretched with them."
        )
    lines = [
        _docstring(
            f"The {what}: {recipe.name} on the data of data.py.\n\n"
            f"The learning rate is for {batch} images a step, on one device.{length}"
        ),
        "",
        f"_base_ = [{recipe.base(target)!r}, 'data.py']",
        "",
        f"data_root = {data.root.as_posix() + '/'!r}",
        f"work_dir = {(target / 'work_dirs' / name).as_posix()!r}",
    ]
    if start is not None:
        lines.append(f"load_from = {start!r}")
    for loader, part in (("train", "train"), ("val", "val"), ("test", "val")):
        keys, _ = recipe.leaf(loader)
        inner = f"{{{{_base_.data.{part}}}}}"
        for key in reversed(keys):
            inner = f"dict({key}={inner})"
        lines.append(f"{loader}_dataloader = {inner}")
    lines.append("val_evaluator = dict(ann_file={{_base_.data.val.ann_file}})")
    lines.append("test_evaluator = dict(ann_file={{_base_.data.val.ann_file}})")
    counts = recipe.class_counts(len(data.train.classes))
    if counts:
        lines.append(f"model = {_source(counts)}")
    if rate is not None:
        lines.append(f"optim_wrapper = dict(optimizer=dict(lr={rate:.3g}))")
        lines.append(f"auto_scale_lr = dict(base_batch_size={batch})")
    lines += [f"{key} = {_source(value)}" for key, value in longer.items()]
    return "\n".join(lines)


def _write_distilled(
    draft: Path, target: Path, checkpoint: str, options: Mapping[str, Any], student: Recipe
) -> str:
    """Write the distillation by the first method that the pair, with options, can carry."""
    refusals = []
    shipped = _shipped_parts(student)
    for method, terms in _TERMS.items():
        distill = shipped.terms if terms is None else _source(terms)
        lines = [
            _docstring(f"The distilled student: student.py taught by teacher.py, by {method}.\n"),
            "",
            shipped.base,
            "",
            *shipped.imports,
            f"work_dir = {(target / 'work_dirs' / 'distilled').as_posix()!r}",
            f"default_hooks = {shipped.hooks}",
            "model = dict(_delete_=True, type='tbd.TeacherStudentDetector', "
            'student={{_base_.model}}, teacher="{{ fileDirname }}/teacher.py", '
            f"teacher_ckpt={checkpoint!r}, distill={distill})",
        ]
        path = draft / "distilled.py"
        _write(path, "\n".join(lines))
        try:
            _check(path, options)
        except UnsuitablePairError as error:
            refusals.append(f"{method}: {error}")
        else:
            return method
    raise ValueError(
        "student and teacher cannot be distilled by the methods that are tried here. "
        + " ".join(refusals)
    )


def _shipped_parts(student: Recipe) -> _ShippedParts:
    """Inherit what is shipped for distillations; copy it where the student's recipe bars that."""
    head = str(student.cfg.model.get("bbox_head", {}).get("type"))
    kind = "ranking_terms" if head in _LEARNS_AT_OBJECTS else "terms"
    own = student.cfg.get("custom_imports")
    if own is None:
        return _ShippedParts(
            base="_base_ = ['student.py', 'tbd::_base_/distillation.py']",
            imports=(),
            hooks="{{_base_.distillation.hooks}}",
            terms=f"{{{{_base_.distillation.{kind}}}}}",
        )
    # MMEngine lets no two bases set one key.
    shipped = load_config("tbd::_base_/distillation.py").distillation
    names = [own["imports"]] if isinstance(own["imports"], str) else list(own["imports"])
    merged = {**own, "imports": [*names, *([] if "tbd" in names else ["tbd"])]}
    return _ShippedParts(
        base="_base_ = ['student.py']",
        imports=(f"custom_imports = {_source(merged)}",),
        hooks=_source(shipped.hooks),
        terms=_source(shipped[kind]),
    )


def _check(config: Path, options: Mapping[str, Any]) -> None:
    """Build both detectors and the terms, without weights."""
    cfg = load_config(str(config))
    with quiet_logger():
        build_trial({**cfg.model, **options})


def _last_checkpoint(recipe: Recipe, data: Data, target: Path) -> Path:
    schedule = fit_schedule(recipe, len(data.train.sizes()))
    iterations = recipe.cfg.train_cfg.get("max_iters")
    name = f"iter_{iterations}" if schedule is None else f"epoch_{schedule.epochs}"
    return target / "work_dirs" / "teacher" / f"{name}.pth"


def _length(recipe: Recipe, data: Data) -> list[str]:
    schedule = fit_schedule(recipe, len(data.train.sizes()))
    if schedule is None:
        return []
    found = []
    if schedule.epochs != recipe.epochs():
        found.append(
            f"{recipe.epochs()} epochs of the recipe would be too few steps on so few images: the "
            f"configs say {schedule.epochs}, which are {schedule.steps:,} steps"
        )
    if schedule.steps < _FEW_STEPS:
        found.append(
            f"{schedule.steps:,} steps of {recipe.batch()} images are few for a detector; more "
            "images will help most, and a --teacher-ckpt of a detector trained on COCO"
        )
    return found


def _write(path: Path, text: str) -> None:
    write_file(path, _formatted(text))


def _formatted(text: str) -> str:
    """Format a config as MMEngine formats those that it dumps."""
    formatted, _ = FormatCode(text, style_config={"based_on_style": "pep8", "column_limit": 100})
    return str(formatted)


def _class_list(names: Sequence[str]) -> str:
    """The list of classes; the formatter would take minutes for thousands."""
    line = f"classes = {tuple(names)!r}"
    if len(line) <= 100:
        return line
    lines = [""]
    for name in map(repr, names):
        if len(lines[-1]) + len(name) > 94:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{name},"
    return "\n".join(["classes = (", *(f"    {line}" for line in lines), ")"])


def _docstring(text: str) -> str:
    safe = text.replace("\\", "/").replace('"""', "'''")
    paragraphs = [textwrap.fill(part, 97) for part in safe.split("\n\n")]
    end = "\n" if len(paragraphs) > 1 else ""
    return '"""' + "\n\n".join(paragraphs) + end + '"""'


def _source(value: Any) -> str:
    """A value as a person writes it in a config."""
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key.isidentifier() for key in value):
            return f"dict({', '.join(f'{key}={_source(item)}' for key, item in value.items())})"
        return f"{{{', '.join(f'{key!r}: {_source(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    if isinstance(value, tuple):
        return repr(tuple(value))
    return repr(value)


@contextmanager
def _removed(draft: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"{draft.parent} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _move(draft: Path, target: Path) -> None:
    """Put finished files in their place, whole folders at once where nothing is there."""
    if not target.exists():
        os.chmod(draft, 0o755)
        draft.rename(target)
        return
    for file in sorted(path for path in draft.rglob("*") if path.is_file()):
        place = target / file.relative_to(draft)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
