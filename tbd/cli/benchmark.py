"""Print what a distilled training step costs beside a plain one: time, memory and ratios.

Example::

  tbd benchmark tbd::tbd_retinanet_r101_r50.py --batch-size 2 --height 800 --width 1344
"""

import argparse
import sys
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger

from tbd.cli import values
from tbd.cli.options import add_cfg_options
from tbd.engine import load_config
from tbd.studies.evaluation_cost import measure_evaluations
from tbd.studies.harmony_cost import measure_growth
from tbd.studies.method_cost import measure_methods
from tbd.studies.step_cost import measure_memory, measure_times
from tbd.studies.step_profile import profile_step
from tbd.studies.teacher_precision import measure_loss_changes
from tbd.studies.trial_step import StepBatch

_IMAGES = 1000
_STEPS = 200
_STUDIES = ("growth", "evaluation")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG [options]"
    parser.add_argument(
        "config",
        type=_config,
        metavar="CONFIG",
        help="config of a distillation; or growth (of IoUs); or evaluation (of AP)",
    )
    parser.add_argument(
        "--batch-size", type=values.positive, default=2, metavar="N", help="default: 2"
    )
    parser.add_argument(
        "--height",
        type=values.positive,
        default=400,
        metavar="PIXELS",
        help="of the images. Default: 400",
    )
    parser.add_argument(
        "--width",
        type=values.positive,
        default=672,
        metavar="PIXELS",
        help="of the images. Default: 672",
    )
    parser.add_argument(
        "--boxes",
        type=values.count,
        default=8,
        metavar="N",
        help="ground-truth boxes in each image. Default: 8",
    )
    parser.add_argument(
        "--rounds",
        type=values.positive,
        default=5,
        metavar="N",
        help="measured rounds, whose medians are printed. Default: 5",
    )
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        metavar="CLOCK",
        help="wall, or cpu: seconds of computing, steady where others compute too",
    )
    parser.add_argument(
        "--amp",
        choices=["fp16", "bf16"],
        metavar="TYPE",
        help="mixed precision of the training: fp16 or bf16",
    )
    parser.add_argument("--no-memory", action="store_true", help="measure times only")
    parser.add_argument(
        "--terms",
        nargs="+",
        metavar="TERM",
        help="compare the steps of these methods on the pair, such as fgd; all: what suits it",
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "fp16", "bf16"],
        metavar="TYPE",
        help="train 200 steps and print how each loss moves with such a teacher",
    )
    parser.add_argument(
        "--profile",
        nargs="?",
        const="",
        type=_trace,
        metavar="TRACE",
        help="print where the time goes; with a file, write a Chrome trace too",
    )
    add_cfg_options(parser)


def _trace(text: str) -> str:
    return values.output_file()(text) if text else text


def _config(text: str) -> str:
    return text if text in _STUDIES else values.config(text)


def run(args: argparse.Namespace) -> None:
    """Measure."""
    device = f"{get_device()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    if args.config == "growth":
        _print_growth(device, args)
        return
    if args.config == "evaluation":
        _print_evaluations(device)
        return
    cfg = load_config(args.config, args.cfg_options, needs_model=True)
    if args.precision is not None:
        _print_loss_changes(cfg, args.precision)
        return
    model = cfg.model
    MMLogger.get_current_instance().setLevel("WARNING")
    batch = StepBatch(args.batch_size, args.height, args.width, args.boxes)
    precision = f", autocast {args.amp}" if args.amp else ""
    print(f"{batch} on {device}, {args.clock} clock{precision}")
    if args.terms is not None:
        _print_methods(args.config, batch, args)
        return
    _print_times(model, batch, args)
    if not args.no_memory:
        _print_memory(model, batch, args)
    if args.profile is not None:
        trace = Path(args.profile) if args.profile else None
        print(profile_step(model, batch, args.amp, trace))


def _print_methods(config: str, batch: StepBatch, args: argparse.Namespace) -> None:
    costs = measure_methods(
        config,
        args.terms,
        batch,
        args.rounds,
        lambda line: print(line, file=sys.stderr, flush=True),
        options=args.cfg_options,
        clock=args.clock,
        amp=args.amp,
        memory=not args.no_memory,
    )
    print("| terms | step / plain step | step / (plain step + teacher) | memory / plain |")
    print("|---|---:|---:|---:|")
    for cost in costs:
        memory = "–" if cost.memory is None else f"{cost.memory:.2f}"
        print(
            f"| {cost.terms} | {cost.over_plain:.2f} | {cost.over_teacher:.2f} | {memory} |",
            flush=True,
        )


def _print_loss_changes(cfg: Config, dtype: str) -> None:
    print(f"losses over {_STEPS} steps, and how they move when the teacher is run in {dtype}")
    for name, change in measure_loss_changes(cfg, dtype, _STEPS).items():
        print(
            f"{name:30} mean {change.mean:.4f}, mean change {change.mean_change:.1e} "
            f"({change.mean_change / change.mean:.1e} of it), largest {change.largest_change:.1e}"
        )


def _print_growth(device: str, args: argparse.Namespace) -> None:
    print(f"IoU with the best ground truth, forward and backward, on {device}")
    for cost in measure_growth(rounds=args.rounds, clock=args.clock):
        print(
            f"{cost.predictions:9,d} predictions, {cost.ground_truths:5,d} boxes, "
            f"{cost.overlapping:6.1%} overlap: "
            f"{1000 * cost.seconds:9.1f} ms, graph {cost.graph / 2**20:7.1f} MiB",
            flush=True,
        )


def _print_evaluations(device: str) -> None:
    print(f"COCO's AP of {_IMAGES} images, seconds of computing, on {device}")
    for name, seconds, ap in measure_evaluations(_IMAGES):
        print(f"{name:20}{seconds:9.2f} s, AP {ap:.4f}", flush=True)


def _print_times(model: ConfigDict, batch: StepBatch, args: argparse.Namespace) -> None:
    times = measure_times(
        model,
        batch,
        args.rounds,
        lambda line: print(line, flush=True),
        detailed=True,
        clock=args.clock,
        amp=args.amp,
    )
    lines = {
        "plain student step": times.plain,
        "teacher, eager float32": times.teacher,
        **times.parts,
        "distilled step": times.distilled,
    }
    for name, seconds in lines.items():
        print(f"{name:30}{seconds:9.3f} s")
    print(f"{'distilled / (plain + teacher)':30}{times.ratio:9.3f}")
    print(f"{'distilled / plain':30}{times.over_plain:9.3f}")


def _print_memory(model: ConfigDict, batch: StepBatch, args: argparse.Namespace) -> None:
    print("measuring memory in fresh processes", flush=True)
    found = {"": measure_memory(model, batch, amp=args.amp)}
    if get_device() == "cpu":
        found[", in use"] = measure_memory(model, batch, amp=args.amp, in_use=True)
    print(f"{'teacher weights in float32':38}{found[''].teacher_weights:9.0f} MiB")
    for of, memory in found.items():
        print(f"{'peak of a plain step' + of:38}{memory.plain:9.0f} MiB")
        print(f"{'peak of a distilled step' + of:38}{memory.distilled:9.0f} MiB")
        print(f"{'distilled / (plain + weights)' + of:38}{memory.ratio:9.3f}")
