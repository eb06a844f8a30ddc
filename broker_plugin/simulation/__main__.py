"""``python -m broker_plugin.simulation OUT --seed S`` writes example packets."""

from __future__ import annotations

import argparse
from pathlib import Path

from broker_plugin.simulation import write_examples


def main() -> None:
    """Read the command line and write the packets."""
    parser = argparse.ArgumentParser(prog="python -m broker_plugin.simulation", description="Write synthetic alerts.")
    parser.add_argument("out", type=Path, help="folder to write to; made if it does not exist")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same packets (default: 0)")
    parser.add_argument("--per-class", type=int, default=4, help="packets of each class and survey (default: 4)")
    arguments = parser.parse_args()
    write_examples(arguments.out, arguments.seed, arguments.per_class)


if __name__ == "__main__":
    main()
