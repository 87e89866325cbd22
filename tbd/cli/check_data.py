"""Look for faults in the annotations and images of a config, or of an annotation file.

Example::

  tbd check-data configs/mine.py --fix cleaned/
"""

import argparse
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tbd.cli import values
from tbd.cli.options import add_cfg_options
from tbd.datasets.annotation_repair import repair
from tbd.datasets.data_report import DataReport
from tbd.datasets.voc_repair import repair_voc
from tbd.engine import load_config
from tbd.engine.data_content import AnnotationSource, annotation_sources, report

_SPLITS = ("train", "val", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG_OR_JSON [options]"
    parser.add_argument(
        "data",
        type=_data,
        metavar="CONFIG_OR_JSON",
        help="config file, or annotation file in COCO format",
    )
    parser.add_argument(
        "--images", type=values.folder, metavar="FOLDER", help="images of the annotation file"
    )
    parser.add_argument(
        "--split",
        nargs="+",
        choices=_SPLITS,
        default=_SPLITS,
        help="parts of the config to look at. Default: all",
    )
    parser.add_argument(
        "--skip-images", action="store_true", help="look at the annotations alone, which is quick"
    )
    parser.add_argument(
        "--fix",
        type=values.output_folder,
        metavar="FOLDER",
        help="write cleaned copies to FOLDER; no file is replaced",
    )
    add_cfg_options(parser)


def _data(text: str) -> str:
    if Path(text).suffix == ".json":
        return values.existing(text)
    if text and os.path.isdir(text):
        raise argparse.ArgumentTypeError(
            f"{text} is a folder; give a config, or one .json file and --images FOLDER. tbd new "
            "looks through folders of other formats"
        )
    return values.config(text)


def run(args: argparse.Namespace) -> None:
    """Check, print what was found, and write cleaned copies if asked to."""
    faults = 0
    usable: dict[str, dict[str, int]] = {}
    seen: set[str] = set()
    for source in _sources(args):
        if source.file in seen:
            continue
        seen.add(source.file)
        if args.fix is not None:
            print(_fix(source, args.fix, args.skip_images))
            continue
        blind = args.skip_images or not source.image_folder
        found = report(source, "none" if blind else "pixels")
        faults += len(found.of("stop"))
        print(_describe(source, found))
        # Of one split, images without boxes may lie beside others in a file of their own.
        usable.setdefault(source.key.partition("_")[0], {})[source.file] = found.usable
    if not seen:
        raise ValueError(
            f"{args.data} names no annotations in COCO's or Pascal VOC's format for "
            f"{', '.join(args.split)}; tbd check-data reads CocoDataset, XMLDataset and their kin."
        )
    if faults:
        raise ValueError(
            f"{faults} kinds of fault would spoil a training or end it in the middle; mend them, "
            "or let --fix FOLDER write cleaned copies."
        )
    for split, files in usable.items():
        if split != "test" and not any(files.values()):
            raise ValueError(
                f"{' and '.join(files)} {'has' if len(files) == 1 else 'have'} no box to learn "
                "from or to measure by; give data with objects, or mend what is left out."
            )


def _sources(args: argparse.Namespace) -> Iterable[AnnotationSource]:
    if args.images and not args.data.endswith(".json"):
        raise ValueError(
            f"--images {args.images} is of an annotation file, and {args.data} is a config, which "
            "says where its images are; leave it out, or set data_prefix by --cfg-options."
        )
    if args.data.endswith(".json"):
        return [AnnotationSource("", args.data, args.images or "", None)]
    return annotation_sources(load_config(args.data, args.cfg_options), args.split)


def _fix(source: AnnotationSource, folder: str, skip_images: bool) -> str:
    """Write a cleaned copy and say what was changed, and how to use it."""
    name = Path(source.file).name
    part = re.sub(r"\W+", "_", source.key.replace("_dataloader.dataset", "")).strip("_")
    if source.voc is None:
        # Files of several parts often have one name.
        out, hint = Path(folder, part, name), ""
        changes = repair(source.file, out, None if skip_images else source.image_folder or None)
    else:
        out = Path(folder, part)
        changes = repair_voc(source.voc, out, not skip_images)
        written = out.absolute()
        hint = (
            f". To use it, set {source.key}.ann_file={str(written / name)!r} and "
            f"{source.key}.ann_subdir={str(written / 'Annotations')!r}"
        )
    return f"{source.file} → {out}: {'; '.join(changes) or 'nothing to change'}{hint}"


def _describe(source: AnnotationSource, found: DataReport) -> str:
    head = f"{source.key + ': ' if source.key else ''}{source.file}"
    lines = [
        f"{head}: {found.images} images, {found.annotations} annotations, "
        f"{found.usable} boxes to learn from"
    ]
    lines += [f"  {finding.severity}: {finding}" for finding in found.findings]
    return "\n".join(lines)
