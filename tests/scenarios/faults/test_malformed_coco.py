"""No COCO file, however spoilt, ends in a traceback of `compare` or `summarize`: it is read, or refused by its name."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from agropest.command_line import main
from tests.scenarios.faults.mutations import spoilt


@pytest.mark.parametrize("which", ["gt.json", "predictions.json"])
def test_spoilt_coco_files(which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [i, 2.5, 40, 30.0], "area": 1200.0, "iscrowd": 0}
        for i in range(1, 5)
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "source": f"{i // 2}"} for i in range(1, 5)]
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
    content = {
        "gt.json": {"images": images, "categories": categories, "annotations": annotations},
        "predictions.json": [{**a, "score": 0.2 * a["image_id"]} for a in annotations],
        "others.json": [],
    }
    truth, predictions, others = (str(tmp_path / name) for name in content)
    for name, one in content.items():
        (tmp_path / name).write_text(json.dumps(one, indent=1))
    original = tmp_path / f"original-{which}"
    shutil.copy(tmp_path / which, original)
    draw = random.Random(13)
    codes: Counter[int] = Counter()
    for _ in range(250):
        spoilt_content, _ = spoilt(original, draw)
        (tmp_path / which).write_bytes(spoilt_content)
        for words in (
            ("compare", truth, predictions, others, "--resamples", "100"),
            ("summarize", predictions, "--gt", truth),
        ):
            code = main(words)
            error = capsys.readouterr().err
            codes[code] += 1
            assert code in (0, 2), (code, spoilt_content)
            assert bool(error) == (code == 2), error
            # A spoilt id of an image is found where a box refers to it.
            assert all(line.startswith(f"error: {tmp_path}") for line in error.splitlines()), error
    assert codes[2] > 250, codes
    assert codes[0] > 40, codes
