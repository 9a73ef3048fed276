"""Small data sets, written as a test asks for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agropest.data.convert import Conversion, convert
from agropest.data.health import Finding
from agropest.data.source import find_source

WriteSet = Callable[..., Path]
WIDTH, HEIGHT = 160, 120

DATA_YAML = "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['Ants', 'Bees']\n"


class Folder:
    """A data set that a test builds file by file; pictures are 160x120 unless said, and all differ."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._pictures = 0

    def image(self, name: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        self._pictures += 1
        path = self._new(name)
        noise(*size, self._pictures).save(path)

    def text(self, name: str, content: str) -> None:
        self._new(name).write_text(content, encoding="utf-8")

    def json(self, name: str, content: Any) -> None:
        self.text(name, json.dumps(content))

    def label(self, name: str, *boxes: Sequence[float], category: int = 0) -> None:
        """Writes YOLO lines of boxes that are given as xywh in pixels."""
        lines = [
            f"{category} {(x + w / 2) / WIDTH:.6f} {(y + h / 2) / HEIGHT:.6f} {w / WIDTH:.6f} {h / HEIGHT:.6f}\n"
            for x, y, w, h in boxes
        ]
        self.text(name, "".join(lines))

    def coco(
        self,
        name: str,
        pictures: Sequence[str],
        boxes: Sequence[Sequence[float]] = (),
        file_name: Callable[[str], str] = lambda path: path.rpartition("/")[2],
        **more: Any,
    ) -> None:
        """Writes pictures, and a COCO file that lists them with a box each."""
        images, annotations = [], []
        for i, path in enumerate(pictures):
            self.image(path)
            images.append({"id": i + 1, "file_name": file_name(path), "width": WIDTH, "height": HEIGHT})
            box = list(boxes[i % len(boxes)]) if boxes else [10 + 10 * i, 20, 30, 30]
            annotations.append({"id": i + 1, "image_id": i + 1, "category_id": 1, "bbox": box, "iscrowd": 0, **more})
        categories = [{"id": 1, "name": "ant"}]
        self.json(name, {"images": images, "annotations": annotations, "categories": categories})

    def _new(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[str], Folder]:
    """Returns a new folder of this name."""
    return lambda name: Folder(tmp_path / name)


@pytest.fixture
def some(tmp_path: Path) -> Folder:
    """A new folder."""
    return Folder(tmp_path / "some")


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
