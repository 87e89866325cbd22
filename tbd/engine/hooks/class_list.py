"""Agreement of the class lists of teacher, student and data set."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.detectors import TeacherStudentDetector
from tbd.detectors.classes import (
    count_classes,
    dataset_classes,
    describe_difference,
    label_names,
    list_names,
    plain_datasets,
)
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS

_DATA = "data set (train_dataloader.dataset.metainfo)"


@HOOKS.register_module()
class ClassListCheckHook(Hook):
    """Check before training that teacher, student and data set mean the same classes.

    A teacher of other classes, or of the same ones in another order, would distill
    nonsense without any error. Its class names are known where its checkpoint records
    them; a model with ``allow_class_mismatch=True`` is free to have another teacher where no
    term compares classes. Where the model has a ``class_map``, the names that it pairs are logged.
    The names that a data set declares must be those behind its labels, which in a COCO
    file follow the file's order.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare the class lists; a detector that is not distilled is not looked at.

        Raises:
            ValueError: They differ.
        """
        model = unwrap(runner.model)
        classes = dataset_classes(runner.train_dataloader.dataset)
        if not isinstance(model, TeacherStudentDetector) or classes is None:
            return
        compare = any(term.compares_classes for term in model.terms.values())
        if model.teacher_classes and model.classes is not None:
            pairs = model.classes.names(model.teacher_classes, classes)
            runner.logger.info(f"model.class_map: {', '.join(pairs)}")
        elif model.teacher_classes and (
            compare or not runner.cfg.model.get("allow_class_mismatch")
        ):
            _check_names(model.teacher_classes, classes)
        count = count_classes(model.student)
        if count not in (None, len(classes)):
            raise ValueError(
                f"The student (model.student) tells apart {count} classes, the {_DATA} has "
                f"{len(classes)}: {list_names(classes)}. Set num_classes={len(classes)} for the "
                "bbox_head in model.student_options, or metainfo.classes of the data set."
            )
        for dataset in plain_datasets(runner.train_dataloader.dataset):
            _check_labels(dataset, classes)


def _check_names(teacher: Sequence[str], data: Sequence[str]) -> None:
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


def _check_labels(dataset: Any, data: Sequence[str]) -> None:
    names = label_names(dataset)
    difference = names and describe_difference(names, data, "the annotations", "metainfo.classes")
    if not difference:
        return
    raise ValueError(
        f"The labels of train_dataloader.dataset do not mean its metainfo.classes: {difference}. "
        f"MMDetection numbers classes in the order of the annotation file ({dataset.ann_file}); "
        "write its categories and metainfo.classes in the same order and spelling."
    )
