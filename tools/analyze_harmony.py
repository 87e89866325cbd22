"""Compare how far the scores of detectors agree with the placement of their boxes.

Run it again to resume: detectors that are finished are kept.
"""

import argparse
from pathlib import Path
from typing import get_args

from mmengine.config import DictAction

from tbd.harmony import Norm
from tbd.studies.harmony import AnalysisSettings, Subject, analyze


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    defaults = AnalysisSettings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "detectors",
        nargs="+",
        metavar="CONFIG CHECKPOINT",
        help="config and checkpoint of a detector, any number of such pairs; a distillation "
        "stands for its student",
    )
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the detectors. Default: those of the configs"
    )
    parser.add_argument(
        "--data-config",
        metavar="CONFIG",
        help="whose test data to use. Default: those of the first detector",
    )
    parser.add_argument("--out-dir", default="work_dirs/harmony", help="default: work_dirs/harmony")
    parser.add_argument(
        "--score-thr",
        type=float,
        default=defaults.score_thr,
        help=f"smallest score of a confident detection. Default: {defaults.score_thr}",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        nargs="*",
        default=defaults.pictures,
        metavar="INDEX",
        help="numbers, from 0, of the images whose maps are drawn. Default: 0 1",
    )
    parser.add_argument(
        "--norm",
        choices=get_args(Norm),
        default=defaults.norm,
        help=f"how logits become the probability in the maps. Default: {defaults.norm}",
    )
    parser.add_argument(
        "--nms-images",
        type=int,
        default=defaults.nms_images,
        help="images in which boxes are traced through NMS, from the first on. "
        f"Default: {defaults.nms_images}",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the data's config; data_root=FOLDER moves the whole data set",
    )
    args = parser.parse_args()
    if len(args.detectors) % 2:
        parser.error(f"{args.detectors[-1]}: a config and a checkpoint make a pair")
    pairs = list(zip(args.detectors[::2], args.detectors[1::2], strict=True))
    names = args.names or [Path(config).stem for config, _ in pairs]
    if len(names) != len(pairs):
        parser.error(f"--names: {len(names)} names for {len(pairs)} detectors")
    args.subjects = [Subject(name, *pair) for name, pair in zip(names, pairs, strict=True)]
    return args


def main() -> None:
    args = parse_args()
    analyze(
        args.subjects,
        args.out_dir,
        AnalysisSettings(
            score_thr=args.score_thr,
            norm=args.norm,
            pictures=tuple(args.pictures),
            nms_images=args.nms_images,
        ),
        args.data_config,
        args.cfg_options,
    )


if __name__ == "__main__":
    main()
