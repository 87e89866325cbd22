r"""Write the configs of a distillation on your own data: COCO, Pascal VOC or YOLO.

Example::

  tbd new cells --data data/cells --student mmdet::retinanet/retinanet_r50_fpn_1x_coco.py \
    --teacher mmdet::retinanet/retinanet_r101_fpn_1x_coco.py
"""

import argparse

from tbd.cli import values
from tbd.projects import new_project
from tbd.projects.annotations import counted
from tbd.projects.recipe import pair_recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s FOLDER --data DIR (--student CONFIG --teacher CONFIG | --pair CONFIG)"
    parser.add_argument(
        "folder",
        type=values.output_folder,
        metavar="FOLDER",
        help="folder to make, for the configs",
    )
    parser.add_argument(
        "--data",
        required=True,
        type=values.folder,
        metavar="DIR",
        help="folder with images and annotations",
    )
    parser.add_argument(
        "--student",
        type=values.config,
        metavar="CONFIG",
        help="MMDetection's recipe of the student",
    )
    parser.add_argument(
        "--teacher",
        type=values.config,
        metavar="CONFIG",
        help="MMDetection's recipe of the teacher",
    )
    parser.add_argument(
        "--pair",
        type=values.config,
        metavar="CONFIG",
        help="shipped distillation, in place of these two",
    )
    parser.add_argument(
        "--teacher-ckpt",
        type=values.checkpoint,
        metavar="CHECKPOINT",
        help="teaches as it is if it knows the classes; else the teacher's training starts from it",
    )
    parser.add_argument(
        "--val-share",
        type=values.share,
        default=0.2,
        metavar="SHARE",
        help="of the images, where there is no validation split. Default: 0.2",
    )
    parser.add_argument("--seed", type=values.seed, default=0, help="of that choice. Default: 0")
    parser.add_argument(
        "--force", action="store_true", help="write into a folder that is there already"
    )


def run(args: argparse.Namespace) -> None:
    """Write the configs and say what comes next."""
    named = (args.student, args.teacher)
    if (args.pair is None) == (named == (None, None)) or (args.pair is None and None in named):
        raise ValueError("give --student and --teacher, or --pair in place of both.")
    student, teacher = named if args.pair is None else pair_recipes(args.pair)
    project = new_project(
        args.folder,
        args.data,
        student,
        teacher,
        teacher_ckpt=args.teacher_ckpt,
        val_share=args.val_share,
        seed=args.seed,
        force=args.force,
    )
    data = project.data
    print(
        f"{data.kind}: {counted(data.train.classes, 'class', 'classes')}, "
        f"{counted(data.train.sizes(), 'image')} to train on, {len(data.val.sizes())} to validate"
    )
    for note in project.notes:
        print(f"note: {note}")
    print(
        f"wrote teacher.py, student.py, distilled.py (by {project.method}) and data.py to "
        f"{project.folder}\n"
    )
    print("\n".join(project.commands))
