"""What the boxes of the trials in detail show, as tables of the page."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.report.page.details import Detail
from agropest.report.page.tables.cells import Cell, TableOf, name_cell, number_cell
from agropest.report.tables.predictions import most_confused
from agropest.statistics.diagnosis.confusion import ConfusionMatrix

MOST_CLASSES = 40  # in a confusion matrix; of more, that many confusions


def confusion_table(detail: Detail) -> TableOf:
    """Returns counts; a row's cells are shaded by their share of it. Of many classes the most frequent confusions."""
    if len(detail.confusion.class_names) > MOST_CLASSES:
        return _confusion_pairs(detail.confusion)
    names = [*detail.confusion.class_names, "background"]
    body = []
    for i, (name, row) in enumerate(zip(names, detail.confusion.counts.tolist(), strict=True)):
        total = sum(row) or 1
        cells = [
            Cell(str(count) if count else "·", count, "right" if i == j else "wrong", round(0.7 * count / total, 2))
            for j, count in enumerate(row)
        ]
        body.append([Cell(name, None, name_cell(name).class_), *cells])
    mistaken = detail.confusion.counts.sum(axis=0) - detail.confusion.counts.diagonal()
    folds = [0, *(1 + int(rank) for rank in mistaken.argsort(kind="stable").argsort())]  # fewest confusions first
    return TableOf(["truth ↓ predicted →", *names], [False, *(True for _ in names)], body, folds)


def _confusion_pairs(confusion: ConfusionMatrix) -> TableOf:
    names = confusion.class_names
    rows = [
        [
            name_cell(names[row]),
            Cell(names[column], names[column].lower()),
            Cell(str(count), count),
        ]
        for count, row, column in most_confused(confusion, MOST_CLASSES)
    ]
    return TableOf(["truth", "predicted", "most frequent confusions"], [False, False, True], rows)


def behaviour_table(details: Sequence[Detail]) -> TableOf:
    """Returns what the trials in detail show at the score threshold that each would be deployed with."""
    headings = ["trial", "threshold", "boxes", "images with boxes", "above 0.8"]
    rows = []
    for detail in details:
        share = detail.summary.share_confident
        cells = [
            name_cell(detail.name),
            Cell(f"{detail.threshold:g}", detail.threshold),
            Cell(str(detail.summary.num_boxes), detail.summary.num_boxes),
            Cell(str(detail.summary.num_images), detail.summary.num_images),
            Cell("n/a" if share is None else f"{share:.0%}", share),
        ]
        rows.append(cells)
    return TableOf(headings, [False, *(True for _ in headings[1:])], rows)


def mistakes_table(details: Sequence[Detail]) -> TableOf:
    """Returns calibration and error types of all boxes of the trials in detail, whatever their score."""
    types = list(details[0].errors.counts) if details else []
    headings = ["trial", "calibration error", "AP50", *(f"{name} ({_plain_type(name)})" for name in types)]
    rows = []
    for detail in details:
        ece = detail.calibration.ece
        cells = [
            name_cell(detail.name),
            Cell("n/a" if ece is None else f"{ece:.3f}", ece),
            number_cell(detail.errors.ap50),
        ]
        cells += [
            Cell(f"{detail.errors.counts[name]} ({detail.errors.delta_ap[name]:+.1f})", detail.errors.delta_ap[name])
            for name in types
        ]
        rows.append(cells)
    return TableOf(headings, [False, *(True for _ in headings[1:])], rows)


def _plain_type(name: str) -> str:
    words = {"Cls": "class", "Loc": "place", "Both": "both", "Dupe": "twice", "Bkg": "nothing there", "Miss": "missed"}
    return words.get(name, name)
