"""What a running launch leaves on the disk: nothing that others could read or write to, and no secret."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

from tests.scenarios.running.conftest import SECRETS, Running


def folders_of_ray(running: Running) -> list[Path]:
    """Returns the private folders that Ray's processes of a launch have open files in."""
    found = set()
    for pid in running.processes():
        for path in (Path("/proc") / str(pid) / "fd").glob("*"):
            try:
                target = path.readlink()
            except OSError:
                continue
            found |= {p for p in target.parents if p.name.startswith("agropest-") and (p / "ray").is_dir()}
    return sorted(found)


def test_nothing_of_a_running_launch_is_open_to_others_and_no_secret_is_written(running: Running) -> None:
    (folder,) = folders_of_ray(running)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    written = [path for root in (folder, running.results) for path in root.rglob("*") if path.is_file()]
    assert any("raylet" in path.name for path in written)
    secrets = [value.encode() for value in SECRETS.values()]
    for path in written:
        with contextlib.suppress(FileNotFoundError):  # a checkpoint that was replaced since
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path
    for pid in running.processes():  # what a process is started with, everybody may read
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes()
        assert not any(secret in words for secret in secrets)
