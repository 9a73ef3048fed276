"""``python -m agropest draw-demo DIR``: the demo data set."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

HELP = "draw the demo data set: insects in the twelve AgroPest-12 classes, as a YOLOv8 export"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to; a new folder, or a demo set drawn before")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other pictures for another seed (0)")
    parser.add_argument("--train", type=int, default=600, metavar="N", help="pictures to train on (600)")
    parser.add_argument("--valid", type=int, default=150, metavar="N", help="pictures to validate on (150)")
    parser.add_argument("--test", type=int, default=150, metavar="N", help="pictures to test on (150)")
    parser.add_argument("--size", type=int, default=192, metavar="PX", help="side of a picture (192)")


def run(arguments: argparse.Namespace) -> int:
    from agropest.data.demo.draw import draw_demo_dataset

    start = time.monotonic()
    drawn = draw_demo_dataset(
        arguments.folder, arguments.seed, arguments.train, arguments.valid, arguments.test, arguments.size
    )
    total = arguments.train + arguments.valid + arguments.test
    if drawn:
        print(f"{arguments.folder}: {total} pictures drawn in {time.monotonic() - start:.1f} s")
    else:
        print(f"{arguments.folder}: these {total} pictures are already there")
    return 0
