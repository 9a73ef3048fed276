"""Flips single bits of a finished sweep's files, one at a time, and reads what the file is read for.

    python -m benchmarks.faults.bit_flips --flips 20000

Each flip is undone before the next. It was noticed (an error, or a trial that is said to be damaged), or what is read
is the same as before, or it is silently other: of those there must be none.
"""

from __future__ import annotations

import argparse
import logging
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agropest.analysis.ranking import rank_trials
from agropest.analysis.sweep_comparison import compare_trials
from agropest.errors import AgropestError
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record
from agropest.training.checkpoints import load
from agropest.training.input.image_cache import open_cache
from agropest.training.input.picture_file import read_image
from agropest.training.input.records import load_records
from benchmarks.faults.disturbed_sweep import write_sweep

ROOT = Path(__file__).resolve().parents[2]
SAME, NOTICED, OTHER = "the same", "noticed", "silently other"
Read = Callable[[], Any]


class FinishedSweep:
    """A finished sweep whose files are damaged one bit at a time.

    Args:
        results: its results folder.
        name: of the sweep.
        data: the data set's folder.
    """

    def __init__(self, results: Path, name: str, data: Path) -> None:
        self.results, self.name = results, name
        (self.converted,) = (path.parent for path in results.glob("data/*/dataset.json"))
        self.splits = {path.stem: (path, data) for path in sorted(self.converted.glob("annotations/*.json"))}
        self.records = {split: load_records(split, *paths).dicts for split, paths in self.splits.items()}

    def tables(self) -> str | None:
        """Returns what tables say of the sweep, as text; None where they say that something is damaged."""
        record = read_sweep_record(self.results / self.name)
        store, truths = Store(self.results), record.ground_truths()
        compared = compare_trials(record.trials, store, truths, record.metric, record.baseline, record.guards)
        rows = rank_trials(record.trials, store, record.metric, compared.damaged)
        ended = all(row.status.has_ended for row in rows)
        return None if compared.damaged or not ended else repr((compared, rows))

    def kinds(self) -> dict[str, list[tuple[Path, Read]]]:
        """Returns the kinds of files, each with its files and what they are read for."""
        trials = sorted(self.results.glob("trials/*-*"))

        def of_trials(pattern: str) -> list[tuple[Path, Read]]:
            return [(path, self.tables) for trial in trials for path in sorted(trial.glob(pattern))]

        return {
            "status": of_trials("status.json") + of_trials("ended.json"),
            "evaluation": of_trials("evaluations/*.json"),
            "boxes": of_trials("evaluations/*.npz"),
            "replicates": of_trials("replicates/*.npz"),
            "trial and weights": of_trials("trial.json") + of_trials("weights.json"),
            "sweep record": [(self.results / self.name / "sweep.json", self.tables)],
            "annotations": [(path, self._annotations(split)) for split, (path, _) in self.splits.items()],
            "checkpoint": [
                (path.with_suffix(suffix), self._checkpoint(path))
                for trial in trials
                for path in sorted(trial.glob("checkpoints/*.pth"))
                for suffix in (".pth", ".json")
            ],
            "picture": [(Path(r["file_name"]), self._picture(r)) for its in self.records.values() for r in its],
            "decoded pictures": [
                (path, self._decoded(path)) for path in sorted(self.results.glob("data/decoded/*.raw"))
            ],
        }

    def _annotations(self, split: str) -> Read:
        return lambda: repr(list(load_records(split, *self.splits[split]).dicts))

    @staticmethod
    def _checkpoint(path: Path) -> Read:
        def read() -> str | None:
            content = load(path.parent, int(path.stem))
            return (
                None if content is None else repr([(k, float(v.double().sum())) for k, v in content["model"].items()])
            )

        return read

    @staticmethod
    def _picture(record: dict[str, Any]) -> Read:
        return lambda: read_image(record, "BGR").tobytes()

    def _decoded(self, path: Path) -> Read:
        """Reads a cache of decoded pictures as a new process does, which decodes again what is damaged."""
        fingerprint = read_sweep_record(self.results / self.name).trials[0].data
        opened = {split: (f"{fingerprint} {split}", f"{root} {split}") for split, (_, root) in self.splits.items()}

        def read() -> bytes | None:
            for split, (name, place) in opened.items():
                cache = open_cache(path.parent, name, self.records[split], "BGR", limit_bytes=0, place=place)
                if cache is not None and cache.path == path:
                    images = [cache.get(record["file_name"]) for record in self.records[split]]
                    return None if any(image is None for image in images) else b"".join(map(bytes, images))
            raise AssertionError(f"{path} is no split's")

        return read


def flip(path: Path, byte: int, bit: int) -> None:
    """Flips one bit in place, as a disk does."""
    with open(path, "r+b") as file:
        file.seek(byte)
        value = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([value ^ 1 << bit]))


def judged(read: Read, before: Any) -> str:
    """Returns what came of a flip."""
    try:
        now = read()
    except AgropestError:
        return NOTICED
    return NOTICED if now is None else SAME if now == before else OTHER


def main() -> int:
    """Runs the flips; prints counts by kind of file."""
    parser = argparse.ArgumentParser(prog="benchmarks.faults.bit_flips", description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, counts = random.Random(arguments.seed), {}
    logging.disable(logging.WARNING)  # what the cache has to say of each damaged picture
    with tempfile.TemporaryDirectory(prefix="agropest-flips-") as name:
        folder = Path(name)
        sweep_file = write_sweep(folder, 2, "none", 4)
        command = [sys.executable, str(ROOT / "launch.py"), str(sweep_file), "--results", str(folder / "r")]
        subprocess.run([*command, "--no-dashboard"], check=True, stdout=subprocess.DEVNULL)
        sweep = FinishedSweep(folder / "r", sweep_file.stem.partition("-")[0], folder / "data")
        kinds = {kind: files for kind, files in sweep.kinds().items() if files}
        others = []
        for number in range(arguments.flips):
            kind = list(kinds)[number % len(kinds)]
            path, read = draw.choice(kinds[kind])
            before = read()
            byte, bit = draw.randrange(path.stat().st_size), draw.randrange(8)
            flip(path, byte, bit)
            outcome = judged(read, before)
            counts.setdefault(kind, Counter())[outcome] += 1
            if outcome == OTHER:
                others.append(f"{path.relative_to(folder)} byte {byte} bit {bit}")
            if path.exists():
                flip(path, byte, bit)
    print(f"{'kind':18} {SAME:>9} {NOTICED:>8} {OTHER:>15}")
    for kind, found in counts.items():
        print(f"{kind:18} {found[SAME]:9} {found[NOTICED]:8} {found[OTHER]:15}")
    print("\n".join(others))
    return 1 if others else 0


if __name__ == "__main__":
    sys.exit(main())
