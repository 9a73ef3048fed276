"""Every picture of validation with the boxes of the trials in detail: results/<sweep>/pictures.html.

The pictures lie as thumbnails in results/<sweep>/pictures/, so that the page itself stays small; they are made once.
The data of the page is one JSON object, typed by the classes here; ``template/pictures.js`` filters and draws it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agropest import files
from agropest.report.page.details import Detail
from agropest.report.page.thumbnails import write_thumbnail
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.diagnosis.box_kinds import box_kinds
from agropest.store.sweep_record import SweepRecord

TEMPLATES = Path(__file__).parent / "template"
NAME, FOLDER = "pictures.html", "pictures"
MOST_PICTURES = 2000
MOST_BOXES = 30  # of a trial on a picture, the most confident
LOWEST_SCORE = 0.1


@dataclass(frozen=True)
class TrialBoxes:
    """One trial on one picture.

    Attributes:
        boxes: class index (-1: not one of the data's), x, y, w, h, score, kind (see ``box_kinds``), best first.
        found_at: of each annotation the score from which on it is missed; 0: no box has it.
    """

    boxes: Sequence[Sequence[float]]
    found_at: Sequence[float]


@dataclass(frozen=True)
class GalleryPicture:
    """One picture.

    Attributes:
        name: as the data set calls it.
        file: of its thumbnail, relative to the page.
        width, height: of the displayed picture, in whose pixels boxes are.
        truth: class index, x, y, w, h of each annotation; crowds are left out.
        trials: in the order of ``Gallery.trials``.
    """

    name: str
    file: str
    width: int
    height: int
    truth: Sequence[Sequence[float]]
    trials: Sequence[TrialBoxes]


@dataclass(frozen=True)
class Gallery:
    """What the page shows.

    Attributes:
        thresholds: that the trials would be deployed with.
        num_images: of the split.
        left_out: pictures beyond ``MOST_PICTURES``, or that cannot be read.
    """

    classes: Sequence[str]
    trials: Sequence[str]
    thresholds: Sequence[float]
    lowest_score: float
    num_images: int
    left_out: int
    pictures: Sequence[GalleryPicture]


def write_gallery(record: SweepRecord, details: Sequence[Detail], truth: GroundTruth, folder: Path) -> Path | None:
    """Writes the page and the thumbnails that are not there yet; None where no picture can be read.

    Args:
        details: the trials whose boxes are shown.
        truth: of validation.
        folder: results/<sweep>.

    Raises:
        OSError: the folder cannot be written to.
    """
    gallery = read_gallery(record, details, truth, folder)
    path = folder / NAME
    if not gallery.pictures:
        path.unlink(missing_ok=True)
        return None
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("pictures.html").render(
        record=record,
        gallery=gallery,
        data=_as_json(asdict(gallery)),
        style=Markup((TEMPLATES / "pictures.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "pictures.js").read_text(encoding="utf-8")),
    )
    files.write_text(path, page)
    return path


def read_gallery(record: SweepRecord, details: Sequence[Detail], truth: GroundTruth, folder: Path) -> Gallery:
    """Returns what the page shows; writes the thumbnails that are not there yet."""
    annotations: dict[int, list[Mapping[str, Any]]] = {image["id"]: [] for image in truth.images}
    for one in truth.annotations:
        annotations[one["image_id"]].append(one)
    by_image = [_by_image(detail.boxes) for detail in details]
    classes = {category_id: number for number, category_id in enumerate(truth.class_names)}
    root = record.splits["valid"].image_root
    pictures = []
    for image in truth.images[:MOST_PICTURES] if details else ():
        made = _thumbnail(root, str(image.get("file_name", "")), folder)
        if made is None:
            continue
        its = annotations[image["id"]]
        shown = [number for number, one in enumerate(its) if not one.get("iscrowd", 0)]
        pictures.append(
            GalleryPicture(
                name=str(image["file_name"]),
                file=made[0],
                width=made[1],
                height=made[2],
                truth=[[classes[its[n]["category_id"]], *_rounded(its[n]["bbox"])] for n in shown],
                trials=[_trial_boxes(boxes.get(image["id"]), its, shown, classes) for boxes in by_image],
            )
        )
    return Gallery(
        classes=list(truth.class_names.values()),
        trials=[detail.name for detail in details],
        thresholds=[detail.threshold for detail in details],
        lowest_score=LOWEST_SCORE,
        num_images=len(truth.images),
        left_out=len(truth.images) - len(pictures),
        pictures=pictures,
    )


def _trial_boxes(
    own: Boxes | None, annotations: Sequence[Mapping[str, Any]], shown: Sequence[int], classes: Mapping[int, int]
) -> TrialBoxes:
    if own is None:
        return TrialBoxes([], [0.0] * len(shown))
    kinds = box_kinds(own.bbox_xywh, own.category_id, own.score, annotations)
    order = np.argsort(-own.score, kind="stable")[:MOST_BOXES]
    boxes = [
        [
            classes.get(int(own.category_id[i]), -1),
            *_rounded(own.bbox_xywh[i]),
            round(float(own.score[i]), 3),
            int(kinds.kind[i]),
        ]
        for i in order
        if own.score[i] >= LOWEST_SCORE
    ]
    return TrialBoxes(boxes, [round(float(kinds.found_at[number]), 3) for number in shown])


def _by_image(boxes: Boxes) -> dict[int, Boxes]:
    order = np.argsort(boxes.image_id, kind="stable")
    ids, starts = np.unique(boxes.image_id[order], return_index=True)
    parts = np.split(order, starts[1:]) if len(ids) else []
    return {
        image_id: Boxes(boxes.image_id[part], boxes.category_id[part], boxes.bbox_xywh[part], boxes.score[part])
        for image_id, part in zip(ids.tolist(), parts, strict=True)
    }


def _thumbnail(root: Path, file_name: str, folder: Path) -> tuple[str, int, int] | None:
    """Returns the thumbnail's place relative to the page, and the picture's displayed size; None: it cannot be read."""
    root = root.resolve()
    path = (root / file_name).resolve()
    if not file_name or not path.is_relative_to(root):
        return None
    try:
        state = path.stat()
    except OSError:
        return None
    state_text = f"{file_name}\0{state.st_mtime_ns}\0{state.st_size}".encode()
    name = f"{FOLDER}/{hashlib.sha256(state_text).hexdigest()[:16]}.jpg"
    size = write_thumbnail(path, folder / name)
    return (name, *size) if size else None


def _as_json(content: Any) -> Markup:
    """Returns JSON for a script element; no text in it can end the element it stands in."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for letter, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(letter, code)
    return Markup(text)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 1) for value in values]
