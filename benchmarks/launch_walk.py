"""The way through the code that a launch takes: which rooms it enters, and how often it returns to one.

    python -m benchmarks.launch_walk [--project FOLDER] [--data FOLDER] [--show]

One launch of a tiny sweep (two variants, four iterations each) runs in this process. The calls of its main thread are
recorded as a reader follows them who reads each function once, where it is called for the first time: loops, further
trials and waiting add nothing. What runs in Ray's processes and in the trials' is not recorded.

- A *room* is a package of ``agropest`` (``store``, ``report``, ...), and ``launch.py``; a *sub-room* is a package in
  one (``report/page``). The modules of ``agropest`` itself (``errors``, ``files``, ...) are the ground floor, no room.
- A *climb* is a first call that enters a room which was entered and left before: a return to it.
- The *depth* of a call is the number of functions of rooms on the stack. The launch itself is what lies near the top;
  deep calls are the work of single rooms.

``--project`` is another checkout of this project, whose own code then runs; an old one needs ``--data``, a folder that
``draw-demo`` has made.
"""

from __future__ import annotations

import argparse
import inspect
import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

DEPTHS = (3, 4, 6, 8)
HERE = Path(__file__).resolve().parents[1]
SWEEP = """
base: {project}/configs/demo.yaml
config:
  INPUT: {{MIN_SIZE_TRAIN: [64], MIN_SIZE_TEST: 64, MAX_SIZE_TRAIN: 96, MAX_SIZE_TEST: 96}}
  MODEL.FPN.OUT_CHANNELS: 32
  MODEL.ROI_BOX_HEAD.FC_DIM: 32
  SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: 4, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 2, BASE_LR: 0.01}}
  TEST.EVAL_PERIOD: 2
question: Does focal loss help?
data: {data}
seeds: [1]
variants:
  baseline: {{}}
  focal: {{MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}}
"""


@dataclass
class Walk:
    """Records the calls of one thread into the modules of a package.

    Attributes:
        package: its folder.
        first_calls: (folder of the function, its depth, its name), in the order of the first calls.
    """

    package: Path
    first_calls: list[tuple[str, int, str]] = field(default_factory=list)
    _seen: set[CodeType] = field(default_factory=set)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Takes note of a call; a function for ``sys.setprofile``."""
        code = frame.f_code
        if event != "call" or code in self._seen:
            return
        self._seen.add(code)
        place = self._place(code)
        if place and code.co_flags & inspect.CO_OPTIMIZED:  # else the body of a module or a class: an import
            name = f"{place}: {Path(code.co_filename).stem}.{code.co_name}"
            self.first_calls.append((place, self._depth(frame), name))

    def _place(self, code: CodeType) -> str:
        """Returns the folder of a function, relative to the package; empty where it is in no room."""
        path = Path(code.co_filename)
        if path == self.package.parent / "launch.py":
            return path.name
        return str(path.parent.relative_to(self.package)).strip(".") if path.is_relative_to(self.package) else ""

    def _depth(self, frame: FrameType | None) -> int:
        """Returns how many functions of rooms are on the stack."""
        depth = 0
        while frame is not None:
            depth += bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED and self._place(frame.f_code))
            frame = frame.f_back
        return depth


def room(place: str) -> str:
    """Returns the room of a folder."""
    return place.partition("/")[0]


def entered(places: Sequence[str]) -> list[str]:
    """Returns the places in the order in which they are entered: neighbours that are equal are one."""
    return [place for place, before in zip(places, ["", *places], strict=False) if place != before]


def climbs(places: Sequence[str]) -> int:
    """Returns how many entries are returns to a place that was left before."""
    steps = entered(places)
    return len(steps) - len(set(steps))


def launch(project: Path, data: Path | None) -> Walk:
    """Runs one launch of the tiny sweep with the code of a checkout; returns the calls of this thread."""
    sys.path.insert(0, str(project))
    os.chdir(project)
    walk = Walk(project / "agropest")
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            from agropest.data.demo.draw import draw_demo_dataset

            data = Path(folder) / "insects"
            draw_demo_dataset(data, seed=3, train=10, valid=6, test=4, image_size_px=64)
        sweep = Path(folder) / "tiny.yaml"
        sweep.write_text(SWEEP.format(project=project, data=data))
        sys.argv = ["launch.py", str(sweep), "--results", f"{folder}/results", "--no-dashboard"]
        sys.setprofile(walk)
        try:
            runpy.run_path(str(project / "launch.py"), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
        finally:
            sys.setprofile(None)
    return walk


def main() -> None:
    """Prints the counts of one launch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=HERE, help="the checkout whose code runs; default: this one")
    parser.add_argument("--data", type=Path, help="a small data set; default: one is drawn")
    parser.add_argument("--show", action="store_true", help="print the functions in the order of their first calls")
    arguments = parser.parse_args()
    calls = launch(arguments.project.resolve(), arguments.data and arguments.data.resolve()).first_calls
    print("depth  functions  rooms  climbs  sub-rooms  climbs")
    for most in (*DEPTHS, max(depth for _, depth, _ in calls)):
        places = [place for place, depth, _ in calls if depth <= most]
        rooms = [room(place) for place in places]
        counts = (most, len(places), len(set(rooms)), climbs(rooms), len(set(places)), climbs(places))
        print("{:5}  {:9}  {:5}  {:6}  {:9}  {:6}".format(*counts))
    if arguments.show:
        print("\n".join(f"{depth:3} {name}" for _, depth, name in calls))


if __name__ == "__main__":
    main()
