"""Small data sets, written as a test asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agropest.data.convert import Conversion, convert, find_source
from agropest.data.health import Finding

WriteSet = Callable[..., Path]

DATA_YAML = "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['Ants', 'Bees']\n"


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def write_set(tmp_path: Path) -> WriteSet:
    """Writes a YOLO export of 100x50 pictures; keys such as ``train/a`` are images, values the text of their labels."""

    def write(
        labels: Mapping[str, str | bytes | None], data_yaml: str | bytes | None = DATA_YAML, name: str = "set"
    ) -> Path:
        root = tmp_path / name
        for seed, (key, text) in enumerate(labels.items()):
            split, stem = key.split("/", 1)
            image = root / split / "images" / f"{stem}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            noise(100, 50, seed).save(image)
            label = root / split / "labels" / f"{stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                label.write_bytes(text if isinstance(text, bytes) else text.encode())
        if data_yaml is not None:
            content = data_yaml if isinstance(data_yaml, bytes) else data_yaml.encode()
            (root / "data.yaml").write_bytes(content)
        return root

    return write


@pytest.fixture
def converted() -> Callable[[Path], Conversion]:
    return lambda root: convert(find_source(root.resolve()), processes=1)


@pytest.fixture
def boxes_of() -> Callable[..., list[tuple[str, int, list[float]]]]:
    """Returns (file, category id, bbox) of a split's annotations."""

    def boxes(conversion: Conversion, split: str = "train") -> list[tuple[str, int, list[float]]]:
        content = conversion.contents[split]
        names = {image["id"]: image["file_name"] for image in content["images"]}
        return [(names[a["image_id"]], a["category_id"], a["bbox"]) for a in content["annotations"]]

    return boxes


@pytest.fixture
def told() -> Callable[..., list[tuple[str, int, str, str]]]:
    """Returns (file, line, rule, action) of findings, without those that every small set has."""

    def short(findings: tuple[Finding, ...], *ignored: str) -> list[tuple[str, int, str, str]]:
        left_out = {"split-not-in-yaml", "split-missing", *ignored}
        return [(f.file, f.line, f.rule, f.action) for f in findings if f.rule not in left_out]

    return short
