"""Nodes of a simulated Ray cluster that die under a sweep."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.disturbed_sweep import DisturbedSweep
from benchmarks.faults.launched import MARK
from benchmarks.faults.writers import running_writer


def lose_nodes(sweep: DisturbedSweep, cluster: Any, nodes: list[Any], num_faults: int, deadline: float) -> None:
    """Runs a sweep on a cluster of which one node dies and another joins, so many times.

    Args:
        deadline: on the monotonic clock; after it no node dies.
    """
    while True:
        launch = sweep.start()
        while launch.is_running():
            sweep.note_finished()
            wanted = len(sweep.hit) < num_faults and time.monotonic() < deadline
            if wanted and running_writer(sweep) is not None:
                # The first at once: on a fast machine every trial may have ended after a pause.
                time.sleep(sweep.draw.uniform(0.0, 3.0) if sweep.hit else 0.0)
                # By now that trial may have ended: a node that runs nothing has nothing to lose.
                node = node_that_trains(sweep, nodes)
                if node is not None:
                    sweep.note_checkpoints()
                    replace_node(cluster, nodes, node)
                    sweep.add("kill -9 of a node")
            time.sleep(0.2)
        text = launch.log.read_text(errors="replace")
        sweep.require("Traceback" not in text, f"a traceback in {launch.log.name}: {text[-400:]}")
        if launch.process.poll() == 0 or sweep.launches > 20:
            break
    sweep.require(launch.process.poll() == 0, f"exit code {launch.process.poll()}")


@contextlib.contextmanager
def simulated_cluster() -> Iterator[tuple[Any, list[Any]]]:
    """Yields a cluster of a head, which runs no trial, and its two workers."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", MARK: "cluster"})
    Path(os.environ.get("TMPDIR", "/tmp"), "ray").mkdir(parents=True, exist_ok=True)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
    finally:
        cluster.shutdown()
        del os.environ[MARK]


def node_that_trains(sweep: DisturbedSweep, nodes: list[Any]) -> Any:
    """Returns a node that runs a trial just now, or None where none does."""
    pid = running_writer(sweep)
    ancestors = set(_ancestors(pid)) if pid is not None else set()
    raylets = {node: node.all_processes["raylet"][0].process.pid for node in nodes}
    return next((node for node, raylet in raylets.items() if raylet in ancestors), None)


def _ancestors(pid: int) -> Iterator[int]:
    """Yields a process's ancestors, from its parent up to those that can be seen."""
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return
        yield pid


def replace_node(cluster: Any, nodes: list[Any], node: Any) -> None:
    """Kills every process of a node at once, as a power cut does, and adds another node."""
    nodes.remove(node)
    cluster.remove_node(node, allow_graceful=False)
    nodes.append(cluster.add_node(num_cpus=1))
