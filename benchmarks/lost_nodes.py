"""Nodes of a simulated Ray cluster that die under a sweep: a part of ``benchmarks.faults``."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

from benchmarks.faults import MARK, Figures, Sweep, judge, running_writer


def lose_nodes(
    file: Path,
    folder: Path,
    draw: random.Random,
    figures: Figures,
    num_faults: int,
    expected: dict[str, tuple[object, bytes]],
    num_trials: int,
) -> None:
    """Runs the sweep on a cluster of a head and two workers, of which one dies and another joins, so many times."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", MARK: "cluster"})
    Path(os.environ.get("TMPDIR", "/tmp"), "ray").mkdir(parents=True, exist_ok=True)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    try:
        sweep = Sweep(file, folder / f"cluster-{figures.sweeps + 1}", draw, figures, cluster.address)
        print(f"cluster at {cluster.address}", flush=True)
        while True:
            launch = sweep.start()
            while launch.is_running():
                sweep.note_finished()
                if len(sweep.hit) < num_faults and running_writer(sweep) is not None:
                    time.sleep(draw.uniform(0.0, 3.0))
                    replace_node(cluster, nodes, draw)
                    sweep.add("kill -9 of a node")
                time.sleep(0.2)
            text = launch.log.read_text(errors="replace")
            sweep.require("Traceback" not in text, f"a traceback in {launch.log.name}: {text[-400:]}")
            if launch.process.poll() == 0 or sweep.launches > 20:
                break
        sweep.require(launch.process.poll() == 0, f"exit code {launch.process.poll()}")
        judge(sweep, expected, num_trials)
    finally:
        cluster.shutdown()
        del os.environ[MARK]


def replace_node(cluster: Any, nodes: list[Any], draw: random.Random) -> None:
    """Kills every process of a node at once, as a power cut does, and adds another node."""
    node = nodes.pop(draw.randrange(len(nodes)))
    cluster.remove_node(node, allow_graceful=False)
    nodes.append(cluster.add_node(num_cpus=1))
