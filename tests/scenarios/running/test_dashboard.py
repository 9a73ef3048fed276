"""What Ray's own pages show of a running sweep, asked over HTTP as a browser or Prometheus asks."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.scenarios.running.conftest import Running

OF_TRIALS = ("validation", "iteration", "images_per_s", "gpu_memory_gib")


def dashboard(running: Running) -> str:
    found = re.search(r"Ray dashboard: (http://127\.0\.0\.1:\d+)", running.printed())
    assert found, running.printed()
    return found[1]


def get(address: str, token: str = "") -> str:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return str(reply.read().decode())


def token() -> str:
    return (Path.home() / ".ray" / "auth_token").read_text().strip()


def test_the_dashboard_needs_the_token(running: Running) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(dashboard(running) + "/logical/actors")
    assert (Path.home() / ".ray" / "auth_token").stat().st_mode & 0o077 == 0


def test_actors_are_named_after_trials(running: Running) -> None:
    actors = json.loads(get(dashboard(running) + "/logical/actors", token()))["data"]["actors"].values()
    names = {actor["reprName"] for actor in actors if actor["state"] == "ALIVE"}
    assert names == {"baseline/s1 and what follows", "focal/s1 and what follows"}
    assert {actor["actorClass"] for actor in actors} == {"Trial"}
    titles = {(Path("/proc") / str(pid) / "cmdline").read_bytes().rstrip(b"\0") for pid in running.processes()}
    assert {b"ray::baseline/s1", b"ray::focal/s1"} <= titles


def test_the_logs_page_has_every_trials_log(running: Running) -> None:
    base, secret = dashboard(running), token()
    node = json.loads(get(f"{base}/nodes?view=summary", secret))["data"]["summary"][0]["raylet"]["nodeId"]
    logs = json.loads(get(f"{base}/api/v0/logs?node_id={node}&glob=trial-*", secret))["data"]["result"]
    listed = {name for names in logs.values() for name in names}
    assert listed == {"trial-baseline-s1.log", "trial-focal-s1.log"}
    text = get(f"{base}/api/v0/logs/file?node_id={node}&filename=trial-focal-s1.log&lines=1000", secret)
    assert "agropest.tuning.workers.child: process" in text


def sweep_metrics(text: str) -> dict[tuple[str, str], float]:
    """Returns the sweep's own metrics in Prometheus' text, by name and trial (or status)."""
    values = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"(ray_agropest_\w+)\{(.*)\} (\S+)", line):
            tags = dict(re.findall(r'(\w+)="([^"]*)"', found[2]))
            if tags.get("sweep") == "endless":
                values[found[1], tags.get("trial") or tags.get("status") or ""] = float(found[3])
    return values


def test_prometheus_finds_the_sweeps_metrics(running: Running) -> None:
    """Asked where Ray's service discovery sends Prometheus (clusters/monitoring).

    Both lag by some seconds, and a scrape may see a part of what was published together: it is asked again.
    """
    values: dict[tuple[str, str], float] = {}
    discovery = dashboard(running) + "/api/prometheus/sd"
    trials = ("baseline/s1", "focal/s1")
    wanted = {
        ("ray_agropest_best", ""),
        *(("ray_agropest_trials", status) for status in ("running", "failed")),
        *((f"ray_agropest_{of_trial}", trial) for of_trial in OF_TRIALS for trial in trials),
    }

    def scraped() -> bool:
        nonlocal values
        targets = [target for group in json.loads(get(discovery, token())) for target in group["targets"]]
        assert all(target.startswith("127.0.0.1:") for target in targets)
        try:
            values = sweep_metrics("".join(get(f"http://{target}/metrics") for target in targets))
        except urllib.error.URLError:  # an agent that is still starting
            return False
        if not wanted <= values.keys():
            return False
        best = values["ray_agropest_best", ""]
        return all(best >= values["ray_agropest_validation", trial] - 1e-9 for trial in trials)

    running.wait_until(scraped, "metrics of the sweep")
    assert 0 <= values["ray_agropest_validation", "focal/s1"] <= 100
    assert values["ray_agropest_trials", "running"] == 2
    assert values["ray_agropest_trials", "failed"] == 0
    assert values["ray_agropest_images_per_s", "baseline/s1"] >= 0
    assert values["ray_agropest_gpu_memory_gib", "focal/s1"] == 0
    assert values["ray_agropest_iteration", "focal/s1"] >= 20
