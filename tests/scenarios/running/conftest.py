"""A launch that runs until it is told to stop, and what can be seen of its processes from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import write_tiny_sweep

ROOT = Path(__file__).resolve().parents[3]
# In the environment of the launch that tests look at; it must be nowhere else.
SECRETS = {"AWS_SECRET_ACCESS_KEY": "secret-aws-4711", "WANDB_API_KEY": "secret-wandb-4711"}
LIMIT_S = 600  # what hangs; a machine may be slow


@dataclass
class Running:
    """A launch in the background: its process, everything it has printed, and its results folder."""

    process: subprocess.Popen[bytes]
    log: Path
    results: Path

    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], object], what: str) -> None:
        limit = time.monotonic() + LIMIT_S
        while not ready():
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < limit, f"no {what} after {LIMIT_S} s:\n{self.printed()}"
            time.sleep(0.2)

    def processes(self) -> list[int]:
        """Returns the launch's process and all that descend from it."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests that look at :func:`running` last: its trials would take the processor from all that follow."""
    items.sort(key=lambda item: "running" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def endless_sweep(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants that evaluate every few iterations and never come to their end."""
    return write_tiny_sweep(tmp_path_factory.mktemp("endless") / "endless.yaml", tiny_folder)


@pytest.fixture(scope="session")
def running(endless_sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A launch whose two trials both have an evaluation."""
    folder = tmp_path_factory.mktemp("running")
    never = [
        "--name",
        "endless",
        "--set",
        "SOLVER.MAX_ITER=1000000",
        "--set",
        "TEST.EVAL_PERIOD=20",
        "--set",
        "silence=[no-effect]",
    ]
    command = [sys.executable, str(ROOT / "launch.py"), str(endless_sweep), "--results", str(folder / "r"), *never]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | SECRETS
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=environment)
    launch = Running(process, folder / "log.txt", folder / "r")
    try:
        for trial in ("baseline/s1", "focal/s1"):
            launch.wait_until(lambda t=trial: re.search(f"{t}: running, val AP", launch.printed()), f"AP of {trial}")  # type: ignore[misc]
        yield launch
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
