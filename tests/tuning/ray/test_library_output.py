"""What libraries print while Ray runs goes into a file, from C++ as from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import os, sys
from pathlib import Path
from agropest.tuning.ray.library_output import library_output_to
print("before")
try:
    with library_output_to(Path(sys.argv[1]) / "a" / "launch.log") as console:
        print("python")
        os.write(1, b"c\\n")
        os.write(2, b"c error\\n")
        print("told", file=console)
        raise KeyError
except KeyError:
    print("after", flush=True)
    print("error", file=sys.stderr)
"""


def test_only_what_is_meant_for_people_reaches_them(tmp_path: Path) -> None:
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("before\ntold\nafter\n", "error\n")
    assert sorted((tmp_path / "a" / "launch.log").read_text().split("\n")) == sorted(
        ["", *2 * ["python", "c", "c error"]]
    )
