"""Draw value and gradient of each imbalance loss against the true class's probability."""

import argparse

from tbd.visualization.loss_curves import draw_loss_curves


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        default="docs/images/imbalance_losses.svg",
        help="picture to write, svg or png; default: docs/images/imbalance_losses.svg",
    )
    parser.add_argument("--gamma", type=float, default=2.0, help="focal exponent; default: 2")
    parser.add_argument("--alpha", type=float, default=100.0, help="default: 100")
    parser.add_argument("--norm", type=float, default=100.0, help="‖h‖₁; default: 100")
    parser.add_argument("--epsilon", type=float, default=1e-3, help="default: 0.001")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    draw_loss_curves(args.out, args.gamma, args.alpha, args.norm, args.epsilon)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
