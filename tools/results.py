r"""Record finished runs in docs/results, and make the tables and the figure of docs/results.md.

python tools/results.py collect work_dirs/bccd --out docs/results/bccd.jsonl \
    --hardware "2 CPU cores, one thread a run"
python tools/results.py collect-gap work_dirs/bccd --records docs/results/bccd.jsonl
python tools/results.py write
python tools/results.py compare docs/results/bccd_auto.jsonl qad_retinanet_bccd tbd_retinanet_bccd
"""

import argparse
import sys
from pathlib import Path

import tbd  # noqa: F401 (provides mmcv's operators, without which mmdet cannot be imported)
from tbd.studies.glossary import GLOSSARY
from tbd.studies.results import (
    STUDIES,
    collect,
    collect_measurements,
    compare_records,
    read_records,
    write_page,
)

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    collecting = actions.add_parser("collect", help="append finished runs to a file of records")
    collecting.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="work directories of comparisons"
    )
    collecting.add_argument("--out", required=True, metavar="FILE", help="docs/results/<set>.jsonl")
    collecting.add_argument(
        "--source",
        default=str(ROOT),
        metavar="FOLDER",
        help="unchanged checkout that holds the runs' configs. Default: this one",
    )
    collecting.add_argument(
        "--baseline",
        metavar="NAME",
        help="config that detectors without a teacher are compared with",
    )
    collecting.add_argument("--hardware", required=True, metavar="TEXT", help="what they ran on")
    for name, study in STUDIES.items():
        measuring = actions.add_parser(
            f"collect-{name}", help=f"append what {study.command} measured of such runs"
        )
        measuring.add_argument(
            "folders", nargs="+", metavar="FOLDER", help="work directories of comparisons"
        )
        measuring.add_argument(
            "--records",
            required=True,
            metavar="FILE",
            help=f"docs/results/<set>.jsonl, which holds the runs; {name}/<set>.jsonl beside it is "
            "written",
        )
        measuring.set_defaults(study=name)
    actions.add_parser("write", help="write docs/results.md and its figure")
    comparing = actions.add_parser("compare", help="compare two configs seed by seed")
    comparing.add_argument("records", metavar="FILE", help="docs/results/<set>.jsonl")
    comparing.add_argument("name", metavar="NAME", help="name of a config")
    comparing.add_argument("other", metavar="OTHER", help="name of the one it is compared to")
    comparing.add_argument(
        "--metric", default="ap", choices=list(GLOSSARY), metavar="NAME", help="default: ap"
    )
    comparing.add_argument(
        "--choosing", action="store_true", help="compare on the seeds that choose settings"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.action == "collect":
        added, unfinished = collect(
            args.folders, args.out, args.source, args.hardware, args.baseline
        )
        print(f"{added} runs added to {args.out}")
        for folder in unfinished:
            print(f"not finished: {folder}")
    elif args.action.startswith("collect-"):
        added, unrecorded = collect_measurements(args.study, args.folders, args.records)
        print(f"{added} measurements added")
        for run in unrecorded:
            print(f"left out, since {args.records} does not hold the run: {run}")
    elif args.action == "compare":
        if not Path(args.records).is_file():
            raise FileNotFoundError(
                f"{args.records} is no file of records, docs/results/<set>.jsonl."
            )
        gain, higher = compare_records(
            read_records(args.records), args.name, args.other, args.metric, args.choosing
        )
        measure = GLOSSARY[args.metric]
        text = gain.text(f"+{measure.number_format}")
        print(f"{text} {measure.title}, higher on {higher} of {gain.count} seeds")
    else:
        page, figure = ROOT / "docs/results.md", ROOT / "docs/images/results_gain.svg"
        shown = write_page(page, ROOT / "docs/results", figure)
        print(f"wrote {page} from {', '.join(shown)}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"results.py: {error}")
