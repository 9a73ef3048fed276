"""Faults of what a number comes from: pictures and weights that are replaced, stored inputs of which a byte changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from agropest import exit_codes
from agropest.data.demo.draw import draw_demo_dataset
from benchmarks.faults.disturbed_sweep import WEIGHTS, DisturbedSweep
from benchmarks.faults.launched import Launch
from benchmarks.faults.writers import running_writer

# What a launch reads of its results folder beside the trials, by kind of fault: it makes again what is not as it was.
STORED = {
    "byte of decoded pictures": "data/decoded/*.raw",
    "bit of converted annotations": "data/*/annotations/*.json",
    "bit of sweep.json": "faults/sweep.json",
}


def flip_stored(kind: str) -> Callable[[DisturbedSweep], bool]:
    """Returns the fault that flips one bit of such a file between two launches."""

    def flip(sweep: DisturbedSweep) -> bool:
        paths = sorted(path for path in sweep.results.glob(STORED[kind]) if path.stat().st_size)
        if not paths:
            return False
        path = sweep.draw.choice(paths)
        at, bit = sweep.draw.randrange(path.stat().st_size), 1 << sweep.draw.randrange(8)
        with open(path, "r+b") as file:  # in place, as a disk does it
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ bit]))
        return True

    return flip


BETWEEN: dict[str, Callable[[DisturbedSweep], bool]] = {kind: flip_stored(kind) for kind in STORED}


def replace_pictures(sweep: DisturbedSweep, launch: Launch) -> bool:
    """Other pictures of the same size lie in place of some, until the launch has ended."""
    split = sweep.draw.choice(["train", "valid", "test"])
    pictures = sorted((sweep.file.parent / "data" / split / "images").iterdir())
    others = sweep.file.parent / "others"
    if not others.exists():
        draw_demo_dataset(others, seed=99, train=len(pictures) + 1, valid=1, test=1, image_size_px=64)
    theirs = sorted((others / "train" / "images").iterdir())
    chosen = sweep.draw.sample(pictures, max(1, len(pictures) // 2))
    return _replaced(sweep, launch, dict(zip(chosen, (path.read_bytes() for path in theirs), strict=False)))


def replace_weights(sweep: DisturbedSweep, launch: Launch) -> bool:
    """The file of the initial weights holds something else until the launch has ended."""
    return _replaced(sweep, launch, {sweep.file.parent / WEIGHTS: b"other weights"})


def _replaced(sweep: DisturbedSweep, launch: Launch, contents: dict[Path, bytes]) -> bool:
    """Replaces files while a trial runs and puts the right ones back: the launch ends by itself, or needs none of them.

    Before a trial runs the launch has not looked at its inputs yet: it would take the others for what is meant.
    """
    if running_writer(sweep) is None:
        return False
    right = {path: (path.read_bytes(), path.stat()) for path in contents}
    for path, content in contents.items():
        _write(path, content)
    try:
        code = launch.wait()
    finally:
        for path, (content, stat) in right.items():
            _write(path, content)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    # Where a stored file is damaged as well, a launch that needed none of the inputs leaves that to the next one.
    allowed = {exit_codes.FAULT, exit_codes.OK} | ({exit_codes.TRIALS_FAILED} if sweep.damaged else set())
    sweep.require(code in allowed, f"exit code {code} after an input was replaced")
    failed = [folder.path.name for folder in sweep.trials() if folder.status().status == "failed"]
    sweep.require(not failed, f"failed by an input that was replaced: {failed}")
    return True


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
