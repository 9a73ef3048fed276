"""A sweep on a cluster that is there already: two nodes of ``ray.cluster_utils.Cluster``, and a submitted job."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agropest.store.trial_folder import TrialFolder
from tests.scenarios.running.conftest import LIMIT_S, ROOT, Running
from tests.scenarios.test_docs_run import TINY_DEMO

CLUSTER = """
import os, sys, tempfile
os.makedirs(os.path.join(tempfile.gettempdir(), "ray"), exist_ok=True)
from ray.cluster_utils import Cluster
nodes, cpus, port = map(int, sys.argv[1:])
dashboard = {"include_dashboard": True, "dashboard_port": port, "dashboard_host": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, **dashboard})
for _ in range(nodes - 1):
    cluster.add_node(num_cpus=cpus)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of a cluster of so many nodes with so many CPUs each, and the port of its dashboard."""
    port = free_port()
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"  # a job's `python` is the nodes'
    command = [sys.executable, "-c", CLUSTER, *map(str, request.param), str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, text=True, **pipes)  # type: ignore[call-overload]
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("127.0.0.1:"), address
        yield address, port
    finally:
        try:
            process.communicate(timeout=60)  # closes its input, which ends it
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def parent_of(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])


def raylets_of(*titles: bytes) -> list[int]:
    """Returns the node process that each worker with such a title belongs to."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().rstrip(b"\0") in titles:
                found.append(parent_of(int(path.parent.name)))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("cluster", [(2, 1)], indirect=True)
def test_a_sweep_runs_on_two_nodes(cluster: tuple[str, int], endless_sweep: Path, tmp_path: Path) -> None:
    address, _ = cluster
    names = ("two-nodes-a", "two-nodes-b")  # no other launch on this machine has such trials
    sweep = endless_sweep.read_text().replace("baseline: {}", f"{names[0]}: {{}}").replace("focal:", f"{names[1]}:")
    (tmp_path / "two.yaml").write_text(sweep)
    command = [sys.executable, str(ROOT / "launch.py"), str(tmp_path / "two.yaml"), "--results", str(tmp_path / "r")]
    command += ["--address", address, "--set", "SOLVER.MAX_ITER=1000000", "--set", "TEST.EVAL_PERIOD=20"]
    command += ["--set", "silence=[no-effect]"]
    with open(tmp_path / "log.txt", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path)
    launch = Running(process, tmp_path / "log.txt", tmp_path / "r")
    try:
        titles = [f"ray::{name}/s1".encode() for name in names]
        launch.wait_until(lambda: len(raylets_of(*titles)) == 2, "trial on each node")
        assert len(set(raylets_of(*titles))) == 2
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)
    assert process.returncode == 130, launch.printed()
    assert f"connecting to Ray at {address}" in launch.printed()


# One node: simulated nodes share a folder, and the second would clear away the working directory of the first.
@pytest.mark.slow
@pytest.mark.parametrize("cluster", [(1, 2)], indirect=True)
def test_submitted_jobs_run_the_sweeps_of_the_repository(
    cluster: tuple[str, int], tiny_folder: Path, tmp_path: Path
) -> None:
    """As docs/clusters.md submits them: the copy has no data and draws the demo; published figures are in it."""
    _, port = cluster
    demo = ["sweeps/demo.yaml", *(f"--set={setting}" for setting in TINY_DEMO)]
    result = submit(port, *demo, "--results", str(tmp_path / "r"), "--address", "auto")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "drawing the demo's pictures" in result.stdout
    assert "Look closer:" in result.stdout
    statuses = [TrialFolder(path).status().status for path in (tmp_path / "r" / "trials").glob("*-*")]
    assert statuses == ["finished"] * 8  # two seeds of four variants
    plan = ["sweeps/anchors.yaml", "--plan", "--data", str(tiny_folder), "--results", str(tmp_path / "p")]
    result = submit(port, *plan, "--set=silence=[no-effect]")
    assert result.returncode == 0, result.stdout + result.stderr


def submit(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Submits a launch of this repository as a job and waits for its end."""
    ray = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", f"http://127.0.0.1:{port}"]
    return subprocess.run(
        [*ray, "--working-dir", str(ROOT), "--", "python", "launch.py", *words],
        env={**os.environ, "RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=600,
    )
