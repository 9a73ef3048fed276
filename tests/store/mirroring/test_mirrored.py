from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from agropest.errors import EnvironmentFault, StoreError
from agropest.store.lock import only_launch
from agropest.store.mirroring import mirrored as module
from agropest.store.mirroring.mirror import Mirror
from agropest.store.mirroring.mirrored import mirrored


@pytest.fixture
def address() -> str:
    return f"memory://{uuid.uuid4().hex}"


def brought(address: str, root: Path) -> dict[str, str]:
    Mirror(root, address).bring_back()
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_without_an_address_nothing_happens(tmp_path: Path) -> None:
    with mirrored(tmp_path / "r", "", pytest.fail):
        assert not (tmp_path / "r").exists()


def test_what_is_stored_last_is_there_when_the_launch_has_ended(tmp_path: Path, address: str) -> None:
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), mirrored(tmp_path / "r", address, said.append):
        (tmp_path / "r" / "status.json").write_text("at 300")
        _ = 1 / 0  # also of a launch that ends with an error
    assert said == []
    assert brought(address, tmp_path / "new") == {"status.json": "at 300"}
    with mirrored(tmp_path / "newer", address, said.append):
        assert (tmp_path / "newer" / "status.json").read_text() == "at 300"
    assert said == [f"mirror: 1 files brought back from {address}"]


def test_it_is_copied_while_the_launch_runs(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    with mirrored(tmp_path / "r", address, pytest.fail):
        (tmp_path / "r" / "status.json").write_text("at 300")
        copies = (brought(address, tmp_path / f"n{i}") for i in range(100_000))
        assert next(copy for copy in copies if copy) == {"status.json": "at 300"}


def test_a_far_side_that_cannot_be_written_is_said_once_and_again_when_it_can(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    is_gone, tried = True, 0

    def upload(mirror: Mirror, whole: Any = Mirror.upload) -> int:
        nonlocal tried
        tried += 1
        if is_gone:
            raise OSError("the network is gone")
        return int(whole(mirror))

    monkeypatch.setattr(Mirror, "upload", upload)
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    with mirrored(tmp_path / "r", address, said.append):
        (tmp_path / "r" / "status.json").write_text("at 300")
        while tried < 3:
            pass
        assert [text.split(";")[0] for text in said] == [f"mirror: cannot write to {address}: the network is gone"]
        is_gone = False
    assert said[1:] == [f"mirror: {address} has everything again"]
    assert brought(address, tmp_path / "new") == {"status.json": "at 300"}
    is_gone = True
    said.clear()
    with mirrored(tmp_path / "r", address, said.append):
        pass
    assert said[-1] == f"mirror: {address} lacks what was stored last; the next launch here copies it"


def test_another_launch_that_writes_there_is_said_and_left_alone(tmp_path: Path, address: str) -> None:
    said: list[str] = []
    with mirrored(tmp_path / "one", address, said.append):
        (tmp_path / "one" / "status.json").write_text("one")
        with mirrored(tmp_path / "two", address, said.append):
            (tmp_path / "two" / "status.json").write_text("two")
    assert len(said) == 1
    assert said[0].startswith(f"mirror: another launch writes to {address}")
    assert brought(address, tmp_path / "new") == {"status.json": "two"}


def test_lost_files_are_named(tmp_path: Path) -> None:
    address, said = str(tmp_path / "far"), []
    with mirrored(tmp_path / "r", address, pytest.fail):
        for number in range(5):
            (tmp_path / "r" / f"{number}.json").write_text(str(number))
    for path in (tmp_path / "far" / "objects").iterdir():
        path.write_text("other")
    with mirrored(tmp_path / "new", address, said.append):
        pass
    names = "0.json, 1.json, 2.json, ..."
    assert said == [f"mirror: 5 files are damaged or missing at {address} and are made again: {names}"]


def test_a_launch_begins_with_nothing_wrong(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mirrored(tmp_path, address, pytest.fail)
    with only_launch(tmp_path, "another"), pytest.raises(StoreError, match="no other launch"), whole:
        pytest.fail("it holds the folder")

    def unreachable(mirror: Mirror) -> None:
        raise RuntimeError("no credentials")

    monkeypatch.setattr(Mirror, "_read_manifest", unreachable)
    words, whole = r"mirror: expected to read memory://.*no credentials", mirrored(tmp_path, address, pytest.fail)
    with pytest.raises(EnvironmentFault, match=words), whole:
        pytest.fail("it would begin all over again")
