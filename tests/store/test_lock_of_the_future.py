"""A lock file whose time lies ahead, after a clock was set back: it ages like any other."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agropest.errors import StoreError
from agropest.store.lock import LOCK, STALE_S, only_launch


def test_a_lock_from_the_future_ages_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    path.write_text("process 7 on old-container: sweeps/a.yaml\n")
    ahead = time.time() + 30 * 86400
    os.utime(path, (ahead, ahead))
    with pytest.raises(StoreError, match=r"sweeps/a\.yaml, 0 s ago"), only_launch(tmp_path, "x"):
        raise AssertionError("its holder may be alive")
    assert path.stat().st_mtime < ahead - 86400
    past = time.time() - STALE_S - 1
    os.utime(path, (past, past))
    with only_launch(tmp_path, "x"):
        assert f"process {os.getpid()}" in path.read_text()
