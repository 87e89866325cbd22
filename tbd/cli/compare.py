"""Train configs, or one student by several methods, and compare them. Run it again to resume.

Example::

  tbd compare --terms plain hd tfd tbd fgd mgd tbd+pkd --seeds 0 1 2
"""

import argparse

from tbd.cli import values
from tbd.studies.comparison import compare, compare_terms
from tbd.studies.comparison.pair import DEFAULT_PAIR


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s (CONFIG ... | --terms TERM ...) [options]"
    parser.add_argument(
        "configs", nargs="*", type=values.config, metavar="CONFIG", help="config files to compare"
    )
    parser.add_argument(
        "--terms",
        nargs="+",
        metavar="TERM",
        help="methods to train one student by, such as fgd, tbd+fgd or, with options of its term, "
        "hd:norm=peak; plain: no teacher; all: what suits the pair",
    )
    parser.add_argument(
        "--pair",
        type=values.config,
        metavar="CONFIG",
        help=f"its terms are replaced. Default: {DEFAULT_PAIR}",
    )
    parser.add_argument(
        "--teacher",
        type=values.config,
        metavar="CONFIG",
        help="trained once, as the teacher of every distillation",
    )
    parser.add_argument(
        "--teacher-seed", type=values.seed, default=0, metavar="SEED", help="default: 0"
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="which CONFIG or TERM the others' gain in AP refers to. Default: plain, if it is a "
        "TERM",
    )
    parser.add_argument(
        "--seeds", type=values.seed, nargs="+", default=[0], metavar="SEED", help="default: 0"
    )
    parser.add_argument(
        "--work-dir",
        default="work_dirs/comparison",
        type=values.output_folder,
        metavar="FOLDER",
        help="default: work_dirs/comparison",
    )
    parser.add_argument(
        "--cfg-options",
        type=values.key_value,
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of all runs",
    )
    parser.add_argument(
        "--pictures",
        type=values.count,
        default=4,
        metavar="N",
        help="images in comparison.png; 0: none. Default: 4",
    )
    parser.add_argument(
        "--jobs", type=values.positive, default=1, metavar="N", help="runs at a time. Default: 1"
    )
    parser.add_argument(
        "--gradient-shares",
        action="store_true",
        help="measure in each training how hard each loss pulls at the student's neck",
    )
    parser.add_argument("--onnx", action="store_true", help="time the detectors in onnxruntime too")
    parser.add_argument(
        "--test-data",
        type=values.existing,
        metavar="PATH",
        help="train nothing, and evaluate finished runs on this COCO file or folder",
    )
    parser.add_argument(
        "--no-step-cost", action="store_true", help="do not time the training steps"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="print the runs' own logs, not their progress"
    )


def run(args: argparse.Namespace) -> None:
    """Compare."""
    settings = dict(
        teacher=args.teacher,
        teacher_seed=args.teacher_seed,
        options=args.cfg_options,
        num_pictures=args.pictures,
        jobs=args.jobs,
        step_cost=not args.no_step_cost,
        gradient_shares=args.gradient_shares,
        onnx=args.onnx,
        test_data=args.test_data,
        verbose=args.verbose,
    )
    if args.baseline is not None:
        settings["baseline"] = args.baseline
    if args.terms is None:
        if args.pair is not None:
            raise ValueError(f"--pair {args.pair} needs --terms, the methods to train it by.")
        compare(args.configs, args.seeds, args.work_dir, **settings)
        return
    if args.configs:
        raise ValueError(
            f"either configs or --terms are compared, not {' '.join(args.configs)} and --terms "
            f"{args.terms}; leave one out."
        )
    compare_terms(args.terms, args.seeds, args.work_dir, pair=args.pair or DEFAULT_PAIR, **settings)
