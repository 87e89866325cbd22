r"""Write a detector, or the student of a distillation, as plain MMDetection or ONNX files.

Example::

  tbd export tbd::tbd_retinanet_r101_r50.py work_dirs/tbd_retinanet_r101_r50/epoch_24.pth \
    --out-dir exported
"""

import argparse

from tbd.cli import values
from tbd.cli.options import add_cfg_options
from tbd.engine import export_student
from tbd.engine.deployment import OnnxOptions, export_onnx

FORMATS = ("mmdet", "onnx")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    defaults = OnnxOptions()
    parser.usage = "%(prog)s CONFIG CHECKPOINT --out-dir FOLDER [--format onnx] [options]"
    parser.add_argument(
        "config", type=values.config, metavar="CONFIG", help="config file of the training"
    )
    parser.add_argument(
        "checkpoint",
        type=values.checkpoint,
        metavar="CHECKPOINT",
        help="one of its checkpoints",
    )
    parser.add_argument(
        "--out-dir",
        required=True,
        type=values.output_folder,
        metavar="FOLDER",
        help="folder for the files",
    )
    parser.add_argument(
        "--name",
        type=values.file_name,
        default="student",
        help="name of the files, without suffix. Default: student",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="mmdet",
        metavar="NAME",
        help="mmdet or onnx. Default: mmdet",
    )
    add_cfg_options(parser)
    onnx = parser.add_argument_group("with --format onnx")
    onnx.add_argument("--end-to-end", action="store_true", help="normalisation and NMS inside")
    onnx.add_argument("--dynamic", action="store_true", help="any number of images, any size")
    onnx.add_argument("--half", action="store_true", help="float16")
    onnx.add_argument("--int8", action="store_true", help="8 bits, calibrated on training images")
    onnx.add_argument(
        "--input-size", type=values.pixels, nargs=2, metavar="PIXELS", help="height, width"
    )
    onnx.add_argument(
        "--opset",
        type=values.positive,
        default=defaults.opset,
        metavar="N",
        help=f"Default: {defaults.opset}",
    )
    onnx.add_argument(
        "--images",
        type=values.positive,
        default=defaults.images,
        metavar="N",
        help=f"to verify the file on. Default: {defaults.images}",
    )
    onnx.add_argument("--evaluate", action="store_true", help="measure the AP of both")
    onnx.add_argument("--force", action="store_true", help="overwrite the file")


def run(args: argparse.Namespace) -> None:
    """Export."""
    given = {
        name: getattr(args, name)
        for name in ("end_to_end", "dynamic", "half", "int8", "opset", "images", "evaluate")
    }
    size = None if args.input_size is None else tuple(args.input_size)
    how = OnnxOptions(**given, input_size=size, force=args.force)
    if args.format == "onnx":
        found = export_onnx(
            args.config, args.checkpoint, args.out_dir, args.name, args.cfg_options, how
        )
        print(found.report())
        return
    if how != OnnxOptions():
        raise ValueError("the options of ONNX files need --format onnx")
    print(export_student(args.config, args.checkpoint, args.out_dir, args.name, args.cfg_options))
