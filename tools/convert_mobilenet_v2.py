"""Write torchvision's ImageNet MobileNetV2 as a backbone checkpoint of MMDetection."""

import argparse

import tbd  # noqa: F401 (provides mmcv's operators, without which mmdet cannot be imported)
from tbd.detectors.torchvision_backbone import convert_mobilenet_v2_file


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="torchvision's checkpoint: mobilenet_v2-b0353104.pth")
    parser.add_argument("target", help="file to write, such as data/mobilenet_v2.pth")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    convert_mobilenet_v2_file(args.source, args.target)
    print(f"wrote {args.target}")


if __name__ == "__main__":
    main()
