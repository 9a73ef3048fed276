"""Nothing that a launch starts can be reached from another machine, unless a flag says so, and then with a warning."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

import pytest

from agropest.errors import EnvironmentFault
from agropest.tuning.ray import connection
from agropest.tuning.ray.connection import RayOptions, exposure_warning, is_loopback, require_token
from tests.scenarios.running.conftest import Running

LISTEN = "0A"


def sockets_of(pid: int) -> set[str]:
    """Returns the inodes of a process's sockets."""
    found = set()
    for path in (Path("/proc") / str(pid) / "fd").glob("*"):
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Returns the address in /proc/net/tcp's notation: 32-bit words of the machine's byte order."""
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return getattr(address, "ipv4_mapped", None) or address


def listening(pids: list[int]) -> dict[str, int]:
    """Returns ``address:port`` of every TCP socket that one of the processes listens on, and which."""
    owners = {inode: pid for pid in pids for inode in sockets_of(pid)}
    found = {}
    for table in ("tcp", "tcp6"):
        for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in owners:
                host, port = fields[1].split(":")
                found[f"{address_of(host)}:{int(port, 16)}"] = owners[fields[9]]
    return found


def test_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert str(address_of("0100007F")) == "127.0.0.1"
    assert str(address_of("00000000")) == "0.0.0.0"
    assert str(address_of("0" * 32)) == "::"
    assert str(address_of("0000000000000000FFFF00000100007F")) == "127.0.0.1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_everything_a_launch_starts_listens_on_this_machine_only(running: Running) -> None:
    found = listening(running.processes())
    assert len(found) >= 5  # the dashboard, the agents, Ray's gRPC servers
    elsewhere = {
        place: (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ")[:200]
        for place, pid in found.items()
        if not ipaddress.ip_address(place.rpartition(":")[0]).is_loopback
    }
    assert elsewhere == {}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("gpu-box", False)],
)
def test_listening_elsewhere_is_warned_of(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    warning = exposure_warning(host)
    assert (warning == "") is loopback
    if warning:
        assert "CVE-2023-48022" in warning
        assert host in warning


def test_a_dashboard_for_all_needs_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "token off" in require_token("127.0.0.1")
    with pytest.raises(EnvironmentFault, match="RAY_AUTH_MODE"):
        require_token("0.0.0.0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert require_token("0.0.0.0") == ""


def test_a_dashboard_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DASHBOARD_PACKAGES", ("aiohttp", "no_such_package"))
    assert RayOptions().starts_dashboard() is False
    with pytest.raises(EnvironmentFault, match=r"no_such_package.*ray\[default\]"):
        RayOptions(dashboard=True).starts_dashboard()
    monkeypatch.setattr(connection, "DASHBOARD_PACKAGES", ())
    assert RayOptions().starts_dashboard() is True
    assert RayOptions(dashboard=False).starts_dashboard() is False
