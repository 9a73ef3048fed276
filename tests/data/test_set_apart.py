from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agropest.__main__ import main
from agropest.data.convert import Conversion
from agropest.data.dataset import load_dataset
from agropest.data.health import read_findings
from agropest.data.opening import require_splits
from agropest.data.set_apart import SetApart, set_apart
from agropest.errors import DataError
from agropest.sweep.spec import load_sweep


def conversion(number: int = 300, copies: int = 3) -> Conversion:
    """Returns sources with some copies each: class 1 in all, class 2 in a tenth of the sources, class 3 in three."""
    images, annotations = [], []
    for i in range(number):
        source = i // copies
        images.append({"id": i + 1, "file_name": f"{i}.jpg", "width": 9, "height": 9, "source": f"s{source}"})
        held = [1] + [2] * (source % 10 == 0) + [3] * (source in (7, 18, 55))
        for category in held:
            annotations.append({"id": len(annotations) + 1, "image_id": i + 1, "category_id": category, "iscrowd": 0})
    categories = [{"id": c, "name": str(c)} for c in (1, 2, 3)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return Conversion(Path("/data"), {"train": content}, (), "f" * 64)


@pytest.mark.parametrize("seed", range(4))
def test_sources_stay_together_and_classes_are_divided_alike(seed: int) -> None:
    parts = set_apart(conversion(), SetApart(0.3, seed)).contents
    sources = {name: {image["source"] for image in part["images"]} for name, part in parts.items()}
    assert not sources["train"] & sources["valid"]
    assert len(parts["train"]["images"]) + len(parts["valid"]["images"]) == 300
    counts = Counter(a["category_id"] for a in parts["valid"]["annotations"])
    assert 84 <= counts[1] <= 96  # 90 of 300
    assert counts[2] == 9  # of 30
    assert counts[3] == 3  # of 9: one source of three
    for part in parts.values():
        assert [image["id"] for image in part["images"]] == list(range(1, len(part["images"]) + 1))
        assert {a["image_id"] for a in part["annotations"]} == {image["id"] for image in part["images"]}
        assert [a["id"] for a in part["annotations"]] == list(range(1, len(part["annotations"]) + 1))


def test_the_seed_decides_and_the_fingerprint_tells() -> None:
    one, again, other = (set_apart(conversion(), SetApart(0.3, seed)) for seed in (0, 0, 1))
    assert one == again
    assert one.contents["valid"] != other.contents["valid"]
    assert len({one.fingerprint, other.fingerprint, set_apart(conversion(), SetApart(0.2)).fingerprint}) == 3


def test_a_set_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected enough sources for valid: .*, got '1 sources in 3 pictures'"):
        set_apart(conversion(3), SetApart(0.2))
    whole = set_apart(conversion(), SetApart(0.2))
    only_test = Conversion(Path("/data"), {"test": conversion().contents["train"]}, (), "")
    with pytest.raises(DataError, match="expected a train split to take valid from"):
        set_apart(only_test, SetApart(0.2))
    with pytest.raises(DataError, match="expected a set without a validation split for `split`"):
        set_apart(whole, SetApart(0.2))


def flat(some: Any) -> None:
    some.coco("result.json", [f"images/{i}.jpg" for i in range(20)], boxes=[(10, 20, 30, 30)])


def test_a_set_of_one_file_is_launched_with_it(some: Any, tmp_path: Path) -> None:
    flat(some)
    dataset = load_dataset(some.root, tmp_path / "cache", 1, split=SetApart(0.25))
    assert dataset.num_images == {"train": 15, "valid": 5}
    require_splits(dataset, ("train", "valid"))
    [told] = read_findings(dataset.health)
    assert (told.rule, told.detail) == (
        "set-apart",
        "5 of 20 pictures of train, by source and class (valid: 0.25, seed: 0)",
    )
    assert load_dataset(some.root, tmp_path / "cache", 1, split=SetApart(0.25)) == dataset
    with pytest.raises(DataError, match=r"`split: \{valid: 0.15, seed: 0\}` into the sweep file"):
        load_dataset(some.root, tmp_path / "cache", 1)


def test_the_command_and_the_sweep_file_say_it(
    some: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flat(some)
    assert main(["convert", str(some.root), "--split-valid", "0.25", "--out", "out"]) == 0
    assert "set-apart" in capsys.readouterr().out
    assert main(["convert", str(some.root), "--split-valid", "1.5"]) == 2
    assert "--split-valid: expected a share between 0 and 1, got 1.5" in capsys.readouterr().err
    file = tmp_path / "a.yaml"
    file.write_text("split: {valid: 0.15, seed: 3}\nvariants: {baseline: {}}\n")
    assert load_sweep(file).split == SetApart(0.15, 3)
    file.write_text("split: {vald: 0.15, seed: -3}\nvariants: {baseline: {}}\n")
    with pytest.raises(ValueError, match="split") as caught:
        load_sweep(file)
    keys = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert keys == ["split.valid", "split.seed", "split.vald"]
