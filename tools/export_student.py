"""Write the student of a distillation as a plain MMDetection checkpoint and config."""

import argparse

from mmengine.config import DictAction

from tbd.engine import export_student


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file of the distillation")
    parser.add_argument("checkpoint", help="one of its checkpoints")
    parser.add_argument("--out-dir", required=True, help="folder for the two files")
    parser.add_argument("--name", default="student", help="name of both files, without suffix")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the config, as for the training",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(export_student(args.config, args.checkpoint, args.out_dir, args.name, args.cfg_options))


if __name__ == "__main__":
    main()
