"""Print what a distilled training step costs beside a plain one: time, memory and ratios."""

import argparse

import torch
from mmengine.config import DictAction
from mmengine.device import get_device
from mmengine.logging import MMLogger

from tbd.engine import load_config
from tbd.studies.step_cost import StepBatch, measure_memory, measure_times


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file of a distillation")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--height", type=int, default=400, help="of the images, in pixels")
    parser.add_argument("--width", type=int, default=672, help="of the images, in pixels")
    parser.add_argument("--boxes", type=int, default=8, help="ground-truth boxes in each image")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds; medians are printed"
    )
    parser.add_argument("--no-memory", action="store_true", help="measure times only")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
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


if __name__ == "__main__":
    main()
