"""Compare how far the scores of detectors agree with the placement of their boxes.

Run it again to resume: detectors that are finished are kept.

Example::

  tbd analyze plain.py plain.pth distilled.py distilled.pth --out-dir work_dirs/harmony
"""

import argparse
from typing import get_args

from tbd.cli import values
from tbd.cli.options import add_cfg_options
from tbd.engine.config import config_name
from tbd.harmony import Norm
from tbd.studies.harmony import AnalysisSettings, Subject, analyze


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] [options]"
    defaults = AnalysisSettings()
    parser.add_argument(
        "detectors",
        nargs="+",
        metavar="CONFIG CHECKPOINT",
        help="any number of such pairs; a distillation stands for its student",
    )
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the detectors. Default: those of the configs"
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="the detector to whose AP that of the others is compared",
    )
    parser.add_argument(
        "--teacher",
        metavar="NAME",
        help="the detector that taught the others: say how much of its lead on the baseline they "
        "closed",
    )
    parser.add_argument(
        "--data-config",
        type=values.config,
        metavar="CONFIG",
        help="whose test data. Default: the first detector's",
    )
    parser.add_argument(
        "--out-dir",
        default="work_dirs/harmony",
        type=values.output_folder,
        metavar="FOLDER",
        help="default: work_dirs/harmony",
    )
    parser.add_argument(
        "--score-thr",
        type=values.score,
        default=defaults.score_thr,
        metavar="SCORE",
        help=f"smallest one of a confident detection. Default: {defaults.score_thr}",
    )
    parser.add_argument(
        "--pictures",
        type=values.count,
        nargs="*",
        default=defaults.pictures,
        metavar="INDEX",
        help="images whose maps are drawn, from 0. Default: 0 1",
    )
    parser.add_argument(
        "--norm",
        choices=get_args(Norm),
        default=defaults.norm,
        metavar="NAME",
        help=f"of the maps: {', '.join(get_args(Norm))}. Default: {defaults.norm}",
    )
    parser.add_argument(
        "--nms-images",
        type=values.count,
        default=defaults.nms_images,
        metavar="N",
        help=f"images in which boxes are traced through NMS. Default: {defaults.nms_images}",
    )
    parser.add_argument("--onnx", action="store_true", help="time the detectors in onnxruntime too")
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Analyse."""
    analyze(
        _subjects(args.detectors, args.names),
        args.out_dir,
        AnalysisSettings(
            score_thr=args.score_thr,
            norm=args.norm,
            pictures=tuple(args.pictures),
            nms_images=args.nms_images,
            onnx=args.onnx,
        ),
        args.data_config,
        args.cfg_options,
        args.teacher,
        args.baseline,
    )


def _subjects(detectors: list[str], names: list[str] | None) -> list[Subject]:
    if len(detectors) % 2:
        raise ValueError(f"{detectors[-1]}: a config and a checkpoint make a pair; give both.")
    pairs = list(zip(detectors[::2], detectors[1::2], strict=True))
    for config, checkpoint in pairs:
        try:
            values.config(config)
            values.checkpoint(checkpoint)
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"argument CONFIG CHECKPOINT: {error}") from None
    names = names or [config_name(config) for config, _ in pairs]
    if len(names) != len(pairs):
        raise ValueError(f"--names: {len(names)} names for {len(pairs)} detectors")
    return [Subject(name, *pair) for name, pair in zip(names, pairs, strict=True)]
