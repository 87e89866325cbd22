"""Train configs from several seeds one after another and compare the detectors in one table.

Run it again to resume: finished runs are kept, an interrupted one goes on.
"""

import argparse
from pathlib import Path

from tbd.studies.comparison import compare


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="config files to compare")
    parser.add_argument(
        "--teacher",
        metavar="CONFIG",
        help="config that is trained once; its checkpoint becomes model.teacher_ckpt of every "
        "distillation",
    )
    parser.add_argument("--teacher-seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--baseline", metavar="CONFIG", help="which of CONFIG the others' gain in AP refers to"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    parser.add_argument(
        "--work-dir", default="work_dirs/comparison", help="default: work_dirs/comparison"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="settings of all runs"
    )
    parser.add_argument(
        "--pictures", type=int, default=4, help="images in comparison.png; 0: none. Default: 4"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    compare(
        args.configs,
        args.seeds,
        args.work_dir,
        str(Path(__file__).with_name("train.py")),
        teacher=args.teacher,
        teacher_seed=args.teacher_seed,
        baseline=args.baseline,
        options=args.cfg_options,
        num_pictures=args.pictures,
    )


if __name__ == "__main__":
    main()
