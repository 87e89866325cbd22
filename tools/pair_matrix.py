"""Check the compatibility of pairs: two training steps on noise, the export, the stock detector.

Widths are scaled down and weights random, so nothing is downloaded and a config takes seconds.
Without CONFIG, all shipped distillations are tried, and MMDetection's other detectors, each
distilled into itself.
"""

import argparse
from pathlib import Path

from tbd.studies.pairs import (
    OTHER_DETECTORS,
    shipped_distillations,
    try_pairs,
    write_pair_tables,
)

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="config files to try")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time. Default: 1")
    parser.add_argument(
        "--full-width", action="store_true", help="try the detectors as they are: slow"
    )
    parser.add_argument(
        "--out",
        metavar="FILE.md",
        help="write the tables into this document, in place of those that it has",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    configs = args.configs or [*shipped_distillations(CONFIGS), *OTHER_DETECTORS]
    trials, errors = try_pairs(
        configs, args.jobs, args.full_width, lambda line: print(line, flush=True)
    )
    if errors:
        raise SystemExit(f"{len(errors)} of {len(configs)} failed: {', '.join(errors)}")
    if args.out:
        write_pair_tables(trials, args.out)
        print(f"wrote the tables of {len(trials)} configs to {args.out}")


if __name__ == "__main__":
    main()
