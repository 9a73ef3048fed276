"""The demo data set: drawn insects, written as AgroPest-12's YOLOv8 export is."""

from __future__ import annotations

import hashlib
import io
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agropest import files
from agropest.data.demo.insects import CLASS_NAMES
from agropest.data.demo.scene import DrawnBox, draw_scene
from agropest.errors import DataError, fault

# Share of the boxes: the commonest class has 4 times the boxes of the rarest, so that repeat factors have work to do.
CLASS_WEIGHTS = (8.0, 6.0, 5.0, 6.0, 4.0, 3.5, 5.0, 5.0, 2.0, 3.0, 3.5, 2.5)
INSECTS_PER_IMAGE = (0.05, 0.1, 0.2, 0.2, 0.15, 0.12, 0.1, 0.08)  # shares of pictures with 1, 2, ... 8
MARKER = "drawn.json"
# Raise this when the same seed would draw other pictures than before.
DRAWING_VERSION = 3


def draw_demo_dataset(
    folder: Path, seed: int = 0, train: int = 600, valid: int = 150, test: int = 150, image_size_px: int = 192
) -> bool:
    """Draws the demo data set into ``folder``; does nothing when it already holds the same set.

    The folder appears whole or not at all, and the same arguments give the same bytes.

    Args:
        folder: must be new, empty, or a demo set drawn before (which is then replaced).
        seed: 0 or more.
        train: number of pictures, as ``valid`` and ``test``; 0 leaves a split empty.
        image_size_px: side of the square pictures, at least 64.

    Returns:
        Whether anything was drawn.

    Raises:
        DataError: an argument is out of range, or the folder holds something that was not drawn here.
    """
    folder = Path(folder)
    counts = {"train": train, "valid": valid, "test": test}
    marker = {"drawing_version": DRAWING_VERSION, "seed": seed, **counts, "image_size_px": image_size_px}
    _check_arguments(seed, counts, image_size_px)
    if _is_drawn(folder, marker):
        return False
    drawing = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        for index, (split, num_images) in enumerate(counts.items()):
            _draw_split(
                drawing / split, num_images, image_size_px, (seed, index), first=sum([*counts.values()][:index])
            )
        files.write_text(drawing / "data.yaml", data_yaml())
        files.write_json(drawing / MARKER, marker)
        _swap(drawing, folder)
    finally:
        shutil.rmtree(drawing, ignore_errors=True)
    return True


def _check_arguments(seed: int, counts: dict[str, int], image_size_px: int) -> None:
    faults = [fault(name, "expected 0 or more pictures", n, "give a number") for name, n in counts.items() if n < 0]
    if seed < 0:
        faults.append(fault("seed", "expected 0 or more", seed, "give another seed"))
    if not 64 <= image_size_px <= 2048:
        faults.append(fault("image_size_px", "expected 64 to 2048", image_size_px, "give a size between"))
    if faults:
        raise DataError(*faults)


def _is_drawn(folder: Path, marker: dict[str, int]) -> bool:
    """Returns whether the very same set is there; refuses a folder that holds something else."""
    if folder.is_dir() and not any(folder.iterdir()):
        return False
    if folder.exists() or folder.is_symlink():
        try:
            found = files.read_json(folder / MARKER)
        except (OSError, ValueError):
            rule = "expected a new or empty folder, or a demo set drawn before"
            raise DataError(fault(str(folder), rule, "something else", "name another folder")) from None
        return bool(found == marker)
    return False


def _draw_split(folder: Path, num_images: int, image_size_px: int, seed: tuple[int, int], first: int) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for i, classes in enumerate(_deal(num_images, np.random.default_rng([*seed, 0]))):
        picture, boxes = draw_scene(classes, image_size_px, np.random.default_rng([*seed, 1, i]))
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=88)
        prefix = CLASS_NAMES[classes[0]].lower()
        stem = f"{prefix}-{first + i + 1}-_jpg.rf.{hashlib.sha256(content.getvalue()).hexdigest()[:32]}"
        (folder / "images" / f"{stem}.jpg").write_bytes(content.getvalue())
        (folder / "labels" / f"{stem}.txt").write_text(
            label_lines(boxes, image_size_px), encoding="utf-8", newline="\n"
        )


def _deal(num_images: int, rng: np.random.Generator) -> list[list[int]]:
    """Returns the classes of the insects of each picture; over all pictures they have exactly their shares."""
    per_image = rng.choice(len(INSECTS_PER_IMAGE), num_images, p=INSECTS_PER_IMAGE) + 1
    total = int(per_image.sum())
    ends = np.round(np.cumsum(CLASS_WEIGHTS) / sum(CLASS_WEIGHTS) * total).astype(int)
    deck = np.searchsorted(ends, np.arange(total), side="right")
    rng.shuffle(deck)
    return [hand.tolist() for hand in np.split(deck, np.cumsum(per_image)[:-1])] if num_images else []


def label_lines(boxes: Sequence[DrawnBox], size_px: int) -> str:
    """Returns the YOLO label file of boxes in a square picture."""
    lines = []
    for box in boxes:
        centre = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        values = (*centre, box.right - box.left, box.bottom - box.top)
        lines.append(" ".join([str(box.class_index), *(f"{value / size_px:.8f}" for value in values)]))
    return "\n".join(lines) + "\n"


def data_yaml() -> str:
    """Returns the data.yaml of a YOLOv8 export with the twelve classes."""
    paths = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    names = ", ".join(f"'{name}'" for name in CLASS_NAMES)
    return f"{paths}\nnc: {len(CLASS_NAMES)}\nnames: [{names}]\n"


def _swap(drawing: Path, folder: Path) -> None:
    """Moves the finished set into place, an older one out of the way; one drawn meanwhile by another process stays."""
    old = drawing.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    try:
        drawing.rename(folder)
    except OSError:
        if not (folder / MARKER).is_file():
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
