from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agropest.errors import StoreError
from agropest.results.lock import only_launch

HOLD = """
import sys, time
from pathlib import Path
from agropest.results.lock import only_launch
with only_launch(Path(sys.argv[1]), "sweeps/other.yaml"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_launch_is_refused_and_told_which_is_the_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=rf"process {first.pid} on .*sweeps/other\.yaml"),
            only_launch(tmp_path, "mine"),
        ):
            pass
        first.kill()
        first.wait()
        with only_launch(tmp_path, "mine"):  # a killed process holds nothing
            assert "mine" in (tmp_path / ".launch.lock").read_text()


def test_the_folder_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_launch(tmp_path, "one"):
        raise RuntimeError
    with only_launch(tmp_path, "two"):
        assert "two" in (tmp_path / ".launch.lock").read_text()
