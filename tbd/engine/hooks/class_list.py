"""Agreement of the class lists of teacher, student and data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn import Module

from tbd.detectors import TeacherStudentDetector
from tbd.detectors.classes import (
    count_classes,
    dataset_classes,
    describe_difference,
    list_names,
)
from tbd.engine.label_check import check_labels, check_metrics, other_datasets
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS

DATA = "train_dataloader.dataset"
_DATA = f"data set ({DATA}.metainfo)"


@HOOKS.register_module()
class ClassListCheckHook(Hook):
    """Check before a run that teacher, student and all data sets mean the same classes.

    A teacher of other classes, or of the same ones in another order, would distill
    nonsense without any error. Its class names are known where its checkpoint records
    them; a model with ``allow_class_mismatch=True`` is free to have another teacher where no
    term compares classes. Where the model has a ``class_map``, the names that it pairs are logged.
    The names that each data set of the run declares (training, validation, test, and those inside
    wrappers) must be those behind its labels, which in a COCO file follow the file's order. A plain
    detector must tell apart as many as the training data has, or more.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare the class lists, where there is a teacher, and their number with the head's.

        Raises:
            ValueError: They differ.
        """
        model = unwrap(runner.model)
        classes = dataset_classes(runner.train_dataloader.dataset)
        if classes is None:
            return
        if isinstance(model, TeacherStudentDetector):
            _check_model(runner, model, classes)
        else:
            _check_number(model, runner.train_dataloader.dataset, classes)
        check_labels(runner.train_dataloader.dataset, DATA, classes)
        for key, dataset in other_datasets(runner):
            check_labels(dataset, key, classes)
        for key in ("val_evaluator", "test_evaluator"):
            check_metrics(runner.cfg.get(key), key, classes)

    def before_test(self, runner: Runner) -> None:
        """Compare the class names of the test data with its labels.

        Raises:
            ValueError: They differ.
        """
        dataset = runner.test_loop.dataloader.dataset
        classes = dataset_classes(dataset)
        if classes is not None:
            check_labels(dataset, "test_dataloader.dataset", classes)
            check_metrics(runner.cfg.get("test_evaluator"), "test_evaluator", classes)


def _check_model(runner: Runner, model: TeacherStudentDetector, classes: Sequence[str]) -> None:
    compare = any(term.compares_classes for term in model.terms.values())
    if model.teacher_classes and model.classes is not None:
        pairs = model.classes.names(model.teacher_classes, classes)
        runner.logger.info(f"model.class_map: {', '.join(pairs)}")
    elif model.teacher_classes and (compare or not runner.cfg.model.get("allow_class_mismatch")):
        _check_teacher(model.teacher_classes, classes)
    count = count_classes(model.student)
    if count not in (None, len(classes)):
        raise ValueError(
            f"The student (model.student) tells apart {count} classes, the {_DATA} has "
            f"{len(classes)}: {list_names(classes)}. Set num_classes={len(classes)} for the "
            "bbox_head in model.student_options, or metainfo.classes of the data set."
        )


def _check_number(model: Module, dataset: Any, classes: Sequence[str]) -> None:
    """Refuse a plain detector of fewer classes, to which objects of the others are background."""
    # Where a text says what is looked for, the number is that of its tokens.
    if getattr(model, "language_model", None) is not None:
        return
    # Boxes of a panoptic data set are of its things alone.
    metainfo = getattr(dataset, "metainfo", None)
    things = metainfo.get("thing_classes") if isinstance(metainfo, Mapping) else None
    wanted, count = things or classes, count_classes(model)
    if count is not None and count < len(wanted):
        raise ValueError(
            f"The detector (model) tells apart {count} classes, the {_DATA} has {len(wanted)}: "
            f"{list_names(wanted)}; objects of the last ones would be learnt as background. Set "
            f"num_classes={len(wanted)} for the model's bbox_head, or metainfo.classes of the data "
            "set."
        )


def _check_teacher(teacher: Sequence[str], data: Sequence[str]) -> None:
    difference = describe_difference(teacher, data, "the teacher", "the data set")
    if difference is None:
        return
    raise ValueError(
        f"The class lists of teacher (model.teacher_ckpt) and {_DATA} differ: {difference}. Set "
        "metainfo.classes of the data sets to the teacher's classes in their order, or take a "
        "teacher that was trained on the data set's; or say which classes of the teacher are which "
        "of the data set's by model.class_map; or, where no term compares classes, "
        "model.allow_class_mismatch=True."
    )
