"""Detect objects in images, with a checkpoint or an ONNX file, and draw them.

Example::

  tbd predict exported/student.onnx photos/ --out-dir pictures
"""

import argparse

from tbd.cli import values
from tbd.cli.options import add_cfg_options
from tbd.engine.prediction import predict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s MODEL IMAGE [IMAGE ...] [options]"
    parser.add_argument(
        "model",
        type=values.checkpoint,
        metavar="MODEL",
        help=".onnx file of 'tbd export', or a checkpoint",
    )
    parser.add_argument(
        "images", type=values.existing, metavar="IMAGE", nargs="+", help="files, or folders of them"
    )
    parser.add_argument(
        "--config",
        type=values.config,
        help="of a checkpoint. Default: the file beside it, student.py of student.pth",
    )
    parser.add_argument(
        "--out-dir",
        default="predictions",
        type=values.output_folder,
        metavar="FOLDER",
        help="for the pictures. Default: predictions",
    )
    parser.add_argument(
        "--score-thr",
        type=values.score,
        default=0.3,
        metavar="SCORE",
        help="smallest one that is drawn. Default: 0.3",
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Predict."""
    found = predict(
        args.model, args.images, args.out_dir, args.config, args.score_thr, args.cfg_options
    )
    for prediction in found:
        counts = ", ".join(f"{count} {name}" for name, count in prediction.counts.items())
        print(f"{prediction.image}: {counts or 'nothing'} -> {prediction.picture}")
