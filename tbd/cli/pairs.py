"""Check the compatibility of pairs: two training steps on noise, the export, the stock detector.

Widths are scaled down and weights random, so nothing is downloaded and a config takes seconds.
Without CONFIG, all shipped pairs are tried, and MMDetection's other detectors, each distilled into
itself.

Example::

  tbd pairs tbd::tbd_retinanet_r101_r50.py mmdet::fcos/fcos_r50_fpn_gn-head_1x_coco.py
"""

import argparse

from tbd.cli import values
from tbd.compat import configs_dir
from tbd.engine import load_config
from tbd.studies.pairs import (
    OTHER_DETECTORS,
    shipped_pairs,
    text_above_tables,
    try_pairs,
    write_pair_tables,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s [CONFIG ...] [options]"
    parser.add_argument(
        "configs", nargs="*", type=values.config, metavar="CONFIG", help="config files to try"
    )
    parser.add_argument(
        "--jobs",
        type=values.positive,
        default=1,
        metavar="N",
        help="processes at a time. Default: 1",
    )
    parser.add_argument(
        "--full-width", action="store_true", help="try the detectors as they are: slow"
    )
    parser.add_argument(
        "--out",
        type=values.output_file(".md"),
        metavar="FILE.md",
        help="write the tables into this document, in place of those that it has",
    )


def run(args: argparse.Namespace) -> None:
    """Try the pairs."""
    if args.out:
        # Before minutes of trials whose tables would have no place.
        text_above_tables(args.out)
    for config in args.configs:
        load_config(config, needs_model=True)
    configs = args.configs or [*shipped_pairs(configs_dir()), *OTHER_DETECTORS]
    trials, errors = try_pairs(
        configs, args.jobs, args.full_width, lambda line: print(line, flush=True)
    )
    if errors:
        raise ValueError(
            f"{len(errors)} of {len(configs)} failed: {', '.join(errors)}. Mend them, or leave "
            "them out; what is wrong stands above."
        )
    if args.out:
        write_pair_tables(trials, args.out)
        print(f"wrote the tables of {len(trials)} configs to {args.out}")
