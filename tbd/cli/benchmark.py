"""Print what a distilled training step costs beside a plain one: time, memory and ratios.

Example::

  tbd benchmark tbd::tbd_retinanet_r101_r50.py --batch-size 2 --height 800 --width 1344
"""

import argparse

import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger

from tbd.cli.options import add_cfg_options
from tbd.engine import load_config
from tbd.studies.step_cost import StepBatch, measure_memory, measure_times


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG [options]"
    parser.add_argument("config", metavar="CONFIG", help="config file of a distillation")
    parser.add_argument("--batch-size", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--height", type=int, default=400, metavar="PIXELS", help="of the images. Default: 400"
    )
    parser.add_argument(
        "--width", type=int, default=672, metavar="PIXELS", help="of the images. Default: 672"
    )
    parser.add_argument(
        "--boxes",
        type=int,
        default=8,
        metavar="N",
        help="ground-truth boxes in each image. Default: 8",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help="measured rounds, whose medians are printed. Default: 5",
    )
    parser.add_argument("--no-memory", action="store_true", help="measure times only")
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure."""
    model = load_config(args.config, args.cfg_options).model
    MMLogger.get_current_instance().setLevel("WARNING")
    batch = StepBatch(args.batch_size, args.height, args.width, args.boxes)
    print(
        f"{batch} on {get_device()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    times = measure_times(model, batch, args.rounds, lambda line: print(line, flush=True))
    print(f"plain student step           {times.plain:8.3f} s")
    print(f"teacher inference forward    {times.teacher:8.3f} s")
    print(f"distilled step               {times.distilled:8.3f} s")
    print(f"distilled / (plain + teacher) {times.ratio:7.3f}")
    if args.no_memory:
        return
    print("measuring memory in fresh processes", flush=True)
    memory = measure_memory(model, batch)
    print(f"peak of a plain step         {memory.plain:8.0f} MiB")
    print(f"teacher's weights            {memory.teacher_weights:8.0f} MiB")
    print(f"peak of a distilled step     {memory.distilled:8.0f} MiB")
    print(f"distilled / (plain + weights) {memory.ratio:7.3f}")
