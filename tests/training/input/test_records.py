"""A split is read once in a process for as long as it is the same."""

from __future__ import annotations

import shutil
from pathlib import Path

from agropest import files
from agropest.data.dataset import Dataset
from agropest.training.input.records import load_records


def test_the_same_content_is_read_once_and_another_anew(tiny_dataset: Dataset, tmp_path: Path) -> None:
    annotations, root = tiny_dataset.paths["valid"]
    copy = tmp_path / "elsewhere" / "valid.json"  # without a dataset.json near by, it may change
    copy.parent.mkdir()
    shutil.copyfile(annotations, copy)
    first = load_records("valid", copy, root)
    assert load_records("valid", copy, root) is first
    assert first.targets is first.targets
    content = files.read_json(copy)
    content["annotations"] = content["annotations"][1:]
    files.write_json(copy, content)
    second = load_records("valid", copy, root)
    assert second is not first
    assert second.targets.num_boxes == first.targets.num_boxes - 1
