"""The job script of docs/clusters.md, with stand-ins for ``python`` and ``scontrol``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Exits as a launch does: 143 after SIGUSR1 or SIGTERM; 0 when it is through.
LAUNCH = """#!/bin/bash
trap 'exit 143' USR1 TERM
touch started
[ "$THROUGH" ] && exit 0
while :; do sleep 0.05; done
"""


def job_script() -> str:
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    found = re.search(r"^    #!/bin/bash\n(?:    .*\n)+", text, re.MULTILINE)
    assert found is not None
    return "".join(line.removeprefix("    ") for line in found[0].splitlines(keepends=True))


@pytest.mark.parametrize(
    ("sent", "code", "requeued"), [(signal.SIGUSR1, 143, True), (signal.SIGTERM, 143, False), (None, 0, False)]
)
def test_a_warned_job_is_put_back_into_the_queue(
    tmp_path: Path, sent: signal.Signals | None, code: int, requeued: bool
) -> None:
    assert "--signal=B:USR1@" in job_script()
    (tmp_path / "job.sh").write_text(job_script())
    for name, text in {"python": LAUNCH, "scontrol": '#!/bin/bash\necho "$@" > requeued\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "4711"}
    if sent is None:
        environment["THROUGH"] = "yes"
    job = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=environment)
    while not (tmp_path / "started").exists():
        assert job.poll() is None
        time.sleep(0.01)
    if sent is not None:
        time.sleep(0.2)  # the traps are set right after the launch was started
        job.send_signal(sent)
    assert job.wait(60) == code
    assert (tmp_path / "requeued").exists() is requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 4711\n"
