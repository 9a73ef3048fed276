"""The faults of inputs hit what they say, and put back what they replaced."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.faults import inputs
from benchmarks.faults.disturbed_sweep import WEIGHTS, DisturbedSweep, write_sweep
from benchmarks.faults.figures import Figures


class Ended:
    """A launch that ends with a code; what lies in a file then is kept."""

    def __init__(self, code: int, path: Path) -> None:
        self.code, self.path, self.seen = code, path, b""

    def wait(self) -> int:
        self.seen = self.path.read_bytes()
        return self.code


@pytest.fixture
def sweep(tmp_path: Path) -> DisturbedSweep:
    return DisturbedSweep(write_sweep(tmp_path, 2, "none", 4), tmp_path / "s", random.Random(1), Figures())


@pytest.mark.parametrize("kind", list(inputs.BETWEEN))
def test_one_bit_of_a_stored_input_changes(sweep: DisturbedSweep, kind: str) -> None:
    assert not inputs.BETWEEN[kind](sweep)  # there is none yet
    name = inputs.STORED[kind].replace("*.raw", "a.raw").replace("*.json", "a.json").replace("*", "set-1")
    path = sweep.results / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    assert inputs.BETWEEN[kind](sweep)
    changed = [one ^ two for one, two in zip(path.read_bytes(), b"content", strict=True) if one != two]
    assert len(changed) == 1
    assert changed[0].bit_count() == 1


@pytest.mark.parametrize(("code", "survived"), [(2, True), (0, True), (1, False)])
def test_replaced_weights_lie_there_until_the_launch_has_ended(
    sweep: DisturbedSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, survived: bool
) -> None:
    path = tmp_path / WEIGHTS
    right, launch = path.read_bytes(), Ended(code, path)
    monkeypatch.setattr(inputs, "running_writer", lambda sweep: None)
    assert not inputs.replace_weights(sweep, launch)  # type: ignore[arg-type]
    assert launch.seen == b""
    monkeypatch.setattr(inputs, "running_writer", lambda sweep: 1)
    assert inputs.replace_weights(sweep, launch)  # type: ignore[arg-type]
    assert launch.seen == b"other weights"
    assert path.read_bytes() == right
    assert (sweep.figures.not_survived == []) is survived


def test_replaced_pictures_have_the_size_of_the_right_ones(
    sweep: DisturbedSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {path: path.read_bytes() for path in sorted((tmp_path / "data").glob("*/images/*"))}
    seen: dict[Path, bytes] = {}

    class Looks:
        def wait(self) -> int:
            seen.update({path: path.read_bytes() for path in pictures})
            return 2

    monkeypatch.setattr(inputs, "running_writer", lambda sweep: 1)
    assert inputs.replace_pictures(sweep, Looks())  # type: ignore[arg-type]
    replaced = [path for path, content in pictures.items() if seen[path] != content]
    assert len(replaced) >= 1

    for path in replaced:
        (tmp_path / "one.jpg").write_bytes(seen[path])
        with Image.open(tmp_path / "one.jpg") as image:
            assert image.size == (64, 64)
    assert {path: path.read_bytes() for path in pictures} == pictures
