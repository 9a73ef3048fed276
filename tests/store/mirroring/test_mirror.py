"""A results folder and its mirror, on fsspec's memory and local file systems and, where moto is installed, on S3."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from agropest.errors import EnvironmentFault
from agropest.store.mirroring.mirror import Mirror, MirrorTaken

CHECKPOINT = "trials/a-0123/checkpoints/00000300.pth"
SEAL = "trials/a-0123/checkpoints/00000300.json"
STATUS = "trials/a-0123/status.json"


@pytest.fixture(params=["memory", "local", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty place on the far side."""
    if request.param == "memory":
        yield f"memory://{uuid.uuid4().hex}/mirror"
    elif request.param == "local":
        yield str(tmp_path / "far" / "mirror")
    else:
        pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()  # they know an earlier server
        server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"  # moto keeps them all in this process
        fsspec.filesystem("s3").mkdir(bucket)
        try:
            yield f"s3://{bucket}/mirror"
        finally:
            server.stop()


def write(root: Path, **contents: str) -> None:
    for name, text in {CHECKPOINT: "weights", SEAL: "seal", STATUS: "at 300", **contents}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def held(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def objects(address: str) -> set[str]:
    system, base = fsspec.core.url_to_fs(address)
    system.invalidate_cache()
    return {str(path).rpartition("/")[2] for path in system.find(f"{base}/objects")}


def test_a_new_machine_has_what_the_old_one_had(address: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write(old)
    mirror = Mirror(old, address)
    assert mirror.bring_back().num_files == 0
    assert mirror.upload() == 3
    assert mirror.upload() == 0
    (old / STATUS).write_text("at 600")
    (old / CHECKPOINT).unlink()
    assert mirror.upload() == 1
    assert len(objects(address)) == 2  # neither the old status nor the checkpoint is kept
    back = Mirror(new, address).bring_back()
    assert (back.num_files, back.lost) == (2, [])
    assert held(new) == held(old) == {SEAL: "seal", STATUS: "at 600"}
    assert (new / STATUS).stat().st_mtime_ns == (old / STATUS).stat().st_mtime_ns


def test_what_is_newer_here_stays(address: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write(old)
    mirror = Mirror(old, address)
    mirror.bring_back()
    mirror.upload()
    write(new)
    (new / STATUS).write_text("at 900")  # later than the mirror
    os.utime(new / SEAL, ns=(1, 1))  # before it
    (new / SEAL).write_text("stale")
    os.utime(new / SEAL, ns=(1, 1))
    assert Mirror(new, address).bring_back().num_files == 1
    assert held(new) == {CHECKPOINT: "weights", SEAL: "seal", STATUS: "at 900"}


def test_caches_locks_and_half_written_files_are_left_out(tmp_path: Path) -> None:
    old = tmp_path / "old"
    write(old, **{"data/decoded/x.raw": "", "data/seen/a.json": "", "aside/b/status.json": "", ".launch.lock": ""})
    write(old, **{"trials/a-0123/.status.json.1.tmp": "", "trials/a-0123/heartbeat.json": "", "data/set-1/h.json": "h"})
    mirror = Mirror(old, str(tmp_path / "far"))
    mirror.bring_back()
    mirror.upload()
    Mirror(tmp_path / "new", str(tmp_path / "far")).bring_back()
    assert set(held(tmp_path / "new")) == {CHECKPOINT, SEAL, STATUS, "data/set-1/h.json"}


def test_what_trials_share_is_there_once(address: str, tmp_path: Path) -> None:
    other = "trials/b-4567/checkpoints/00000300.pth"
    write(tmp_path / "old", **{other: "weights"})
    mirror = Mirror(tmp_path / "old", address)
    mirror.bring_back()
    assert mirror.upload() == 4
    assert len(objects(address)) == 3
    Mirror(tmp_path / "new", address).bring_back()
    assert held(tmp_path / "new") == held(tmp_path / "old")
    assert (tmp_path / "new" / other).stat().st_nlink == 2


class Failing:
    """A file system whose n-th write fails, as a network does."""

    def __init__(self, system: Any, fails_at: int) -> None:
        self._system, self._left = system, fails_at

    def __getattr__(self, name: str) -> Any:
        if name not in ("pipe_file", "put_file", "rm_file"):
            return getattr(self._system, name)

        def write(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise RuntimeError("EndpointConnectionError: the network is gone")  # no OSError, as botocore's
            return getattr(self._system, name)(*arguments)

        return write


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_a_round_that_breaks_off_leaves_the_one_before(tmp_path: Path, fails_at: int) -> None:
    """Writes of the second round: status, new checkpoint, its seal, manifest, removal of the old status."""
    old, address = tmp_path / "old", f"memory://{uuid.uuid4().hex}"
    write(old)
    mirror = Mirror(old, address)
    mirror.bring_back()
    mirror.upload()
    before = held(old)
    later = {"trials/a-0123/checkpoints/00000600.pth": "more", "trials/a-0123/checkpoints/00000600.json": "seal 2"}
    write(old, **later, **{STATUS: "at 600"})
    mirror._fs, system = Failing(mirror._fs, fails_at), mirror._fs
    with pytest.raises(OSError, match="the network is gone"):
        mirror.upload()
    found = Mirror(tmp_path / "new", address).bring_back()
    assert found.lost == []
    assert held(tmp_path / "new") == (before if fails_at <= 4 else held(old))
    mirror._fs = system
    mirror.upload()
    Mirror(tmp_path / "newer", address).bring_back()
    assert held(tmp_path / "newer") == held(old)


def test_what_a_node_that_died_left_half_way_is_removed(address: str, tmp_path: Path) -> None:
    write(tmp_path / "old")
    mirror = Mirror(tmp_path / "old", address)
    mirror.bring_back()
    mirror.upload()
    system, base = fsspec.core.url_to_fs(address)
    system.pipe_file(f"{base}/objects/{'f' * 64}", b"half")
    following = Mirror(tmp_path / "old", address)
    following.bring_back()
    following.upload()
    assert len(objects(address)) == 3
    assert following.upload() == 0


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", None])
def test_what_is_damaged_there_is_not_brought_back(address: str, tmp_path: Path, damage: Any) -> None:
    write(tmp_path / "old")
    mirror = Mirror(tmp_path / "old", address)
    mirror.bring_back()
    mirror.upload()
    system, base = fsspec.core.url_to_fs(address)
    system.invalidate_cache()
    manifest = json.loads(system.cat_file(f"{base}/manifest.json"))
    path = f"{base}/objects/{manifest['files'][CHECKPOINT]['sha256']}"
    if damage is None:
        system.rm_file(path)
    else:
        system.pipe_file(path, damage(system.cat_file(path)))
    new = Mirror(tmp_path / "new", address)
    assert new.bring_back().lost == [CHECKPOINT]
    assert held(tmp_path / "new") == {SEAL: "seal", STATUS: "at 300"}
    write(tmp_path / "new")  # as the next training makes it again
    new.upload()
    assert Mirror(tmp_path / "newer", address).bring_back().lost == []
    assert held(tmp_path / "newer") == held(tmp_path / "old")


def test_a_damaged_manifest_and_names_that_lead_out(tmp_path: Path) -> None:
    address = f"memory://{uuid.uuid4().hex}"
    write(tmp_path / "old")
    mirror = Mirror(tmp_path / "old", address)
    mirror.bring_back()
    mirror.upload()
    system, base = fsspec.core.url_to_fs(address)
    content = json.loads(system.cat_file(f"{base}/manifest.json"))
    content["files"] = {"../escaped": content["files"][SEAL], "/tmp/escaped": content["files"][SEAL]}
    system.pipe_file(f"{base}/manifest.json", json.dumps(content).encode())
    assert Mirror(tmp_path / "new", address).bring_back().num_files == 0
    assert not (tmp_path / "escaped").exists()
    for broken in (b"{", b"[]", b'{"format": 7}'):
        system.pipe_file(f"{base}/manifest.json", broken)
        with pytest.raises(EnvironmentFault, match="mirror: expected to read"):
            Mirror(tmp_path / "new", address).bring_back()


def test_two_launches_do_not_write_over_one_another(address: str, tmp_path: Path) -> None:
    one, two = (Mirror(tmp_path / name, address) for name in ("one", "two"))
    for mirror in (one, two):
        write(mirror.root)
        mirror.bring_back()
    assert one.upload() == 3
    with pytest.raises(MirrorTaken):
        two.upload()
    following = Mirror(tmp_path / "two", address)
    following.bring_back()
    (tmp_path / "two" / STATUS).write_text("at 600")
    assert following.upload() >= 1
    (tmp_path / "one" / STATUS).write_text("at 900")
    with pytest.raises(MirrorTaken):
        one.upload()


@pytest.mark.parametrize(
    ("address", "words"), [("nosuch://x", "expected an address"), ("gs://b/x", "package that reads")]
)
def test_an_address_that_cannot_be_used(tmp_path: Path, address: str, words: str) -> None:
    with pytest.raises(EnvironmentFault, match=words):
        Mirror(tmp_path, address)
