"""Predictions of a detector on pictures, and the files they are written to."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agropest import files
from agropest.deployment.detector import Detector
from agropest.deployment.drawing import JPEG_QUALITY, annotated
from agropest.deployment.model_folder import ModelCard
from agropest.deployment.parity import Found
from agropest.deployment.pictures import NamedPicture
from agropest.errors import TrialError

RESULTS, IMAGES = "predictions.json", "images.json"


@dataclass(frozen=True)
class Prediction:
    """The boxes of one picture at or above the threshold, and its displayed size in pixels."""

    picture: NamedPicture
    found: Found
    width: int
    height: int


@dataclass(frozen=True)
class Predictions:
    """What a detector found.

    Attributes:
        broken: what is wrong with each picture that could not be read.
        median_s: a picture, reading included.
    """

    pictures: Sequence[Prediction]
    broken: Sequence[str]
    median_s: float

    @property
    def num_boxes(self) -> int:
        """On all pictures."""
        return sum(len(one.found.scores) for one in self.pictures)


def predict(
    detector: Detector,
    pictures: Sequence[NamedPicture],
    threshold: float,
    on_prediction: Callable[[Prediction], object],
    on_picture: Callable[[], object] = lambda: None,
) -> Predictions:
    """Returns the boxes on pictures; one that cannot be read costs that picture.

    Args:
        threshold: lowest score that counts.
        on_prediction: is handed each as it comes, to write it.
        on_picture: is called after each, broken or not.
    """
    done: list[Prediction] = []
    broken: list[str] = []
    seconds: list[float] = []
    for picture in pictures:
        started = time.perf_counter()
        try:
            instances = detector.detect(picture.path)
        except TrialError as error:
            broken += error.faults
        else:
            seconds.append(time.perf_counter() - started)
            height, width = instances.image_size
            kept = Found.of(instances[instances.scores >= threshold])
            done.append(Prediction(picture, kept, int(width), int(height)))
            on_prediction(done[-1])
        on_picture()
    return Predictions(done, broken, statistics.median(seconds) if seconds else 0.0)


def write_annotated(folder: Path, one: Prediction, class_names: Sequence[str]) -> Path:
    """Writes the picture with its boxes; returns where."""
    picture = annotated(one.picture.path, one.found, class_names)
    target = folder / one.picture.name.with_suffix(".jpg")
    files.write_with(target, lambda file: picture.save(file, "JPEG", quality=JPEG_QUALITY), durable=False)
    return target


def write_coco(folder: Path, predictions: Predictions, card: ModelCard) -> list[str]:
    """Writes a COCO results list, and the images and categories that it refers to; returns the names."""
    ids = {one.picture.path: number for number, one in enumerate(predictions.pictures, start=1)}
    results: list[dict[str, Any]] = [
        {
            "image_id": ids[one.picture.path],
            "category_id": card.categories[index]["id"],
            "bbox": [round(float(v), 3) for v in (x0, y0, x1 - x0, y1 - y0)],
            "score": round(float(score), 6),
        }
        for one in predictions.pictures
        for (x0, y0, x1, y1), score, index in zip(one.found.corners, one.found.scores, one.found.classes, strict=True)
    ]
    images = [
        {"id": ids[one.picture.path], "file_name": str(one.picture.path), "width": one.width, "height": one.height}
        for one in predictions.pictures
    ]
    files.write_json(folder / RESULTS, results, indent=None)
    files.write_json(folder / IMAGES, {"images": images, "categories": list(card.categories), "annotations": []})
    return [RESULTS, IMAGES]


def write_yolo(folder: Path, predictions: Predictions, card: ModelCard) -> list[str]:
    """Writes ``labels/<picture>.txt`` (class, centre, size as shares, score) and ``classes.txt``; returns the names."""
    for one in predictions.pictures:
        lines = []
        boxes = zip(one.found.corners.tolist(), one.found.scores, one.found.classes, strict=True)
        for (x0, y0, x1, y1), score, index in boxes:
            centre = ((x0 + x1) / 2 / one.width, (y0 + y1) / 2 / one.height)
            size = ((x1 - x0) / one.width, (y1 - y0) / one.height)
            lines.append(f"{index} " + " ".join(f"{v:.6f}" for v in (*centre, *size, score)))
        text = "".join(f"{line}\n" for line in lines)
        files.write_text(folder / "labels" / one.picture.name.with_suffix(".txt"), text)
    files.write_text(folder / "labels" / "classes.txt", "".join(f"{name}\n" for name in card.class_names))
    return ["labels/"]
