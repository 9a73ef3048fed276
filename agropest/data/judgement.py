"""Faults of a whole split: one sentence with the likely cause, instead of a remark for each of its boxes.

A set that has one can be converted and looked at, but not trained on: a ranking of what it gives would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agropest.data.box_tally import FORMATS, BoxTally
from agropest.data.health import RULES
from agropest.data.picture import SplitFault

# From so many lines on, a majority is no chance.
FEWEST = 4
MOST, NEARLY_ALL = 0.5, 0.95
SOME = 0.1
USES = {"train": "trains on", "valid": "is measured by", "test": "is tested by"}


def judge_split(split: str, tally: BoxTally, num_images: int, others: int, hint: str) -> list[SplitFault]:
    """Returns what is wrong with a split as a whole, the cause first that explains the others.

    Args:
        num_images: that were taken.
        others: images that were left out because the file tells another size.
        hint: what is known of its annotations before they are read.
    """
    found = [*_format_faults(tally), *_size_fault(num_images, others)]
    if not found and split != "test" and not tally.boxes:
        cause = _no_box(tally, num_images, hint)
        found.append((f"expected boxes that a detector {USES[split]}", *cause))
    if not found:
        found += _mostly_dropped(tally)
    return [(split, *fault) for fault in found[:1]]


def _no_box(tally: BoxTally, num_images: int, hint: str) -> tuple[str, str]:
    if tally.crowds:
        detail = f"every annotation ({tally.crowds}) is a crowd"
        return detail, "crowds are neither trained on nor evaluated: write iscrowd 0 where a box is one object"
    if tally.lines:
        rule, number = tally.dropped.most_common(1)[0]
        detail = f"none: {number} of {tally.lines} dropped ({RULES[rule]}; {tally.example[rule]})"
        return detail, "mend the annotations; docs/data.md says what each rule means"
    detail = hint or f"{num_images} images whose label files are empty"
    return detail, "put the label files into labels/, in place of images/ in the images' path"


def _format_faults(tally: BoxTally) -> Iterator[tuple[str, str, str]]:
    lines = tally.columns.total()
    if lines >= FEWEST and len(tally.columns) == 1 and tally.four == 0:
        [columns] = tally.columns
        if tally.turned > MOST * lines:
            detail = f"four corners of a turned rectangle in {tally.turned} of {lines} lines"
            yield (
                "expected boxes",
                detail,
                "these are oriented boxes (OBB), which are not trained on; export plain boxes",
            )
        elif tally.posed > NEARLY_ALL * lines:
            detail = f"a box and points inside it in {tally.posed} of {lines} lines"
            fix = f"these are key points: write kpt_shape with {columns - 4} numbers in all into data.yaml"
            yield "expected boxes or polygons", detail, fix
    if tally.four < FEWEST or not tally.unusable:
        return
    share = tally.unusable / tally.four
    cause = _cause(tally)
    if share > MOST or (share > SOME and cause):
        detail = f"{tally.unusable} of {tally.four} over the border or under a pixel"
        own = FORMATS[tally.box_format] + (" in shares of the image" if tally.box_format == "cxcywh" else " in pixels")
        fix = f"they look like {cause}: export them as {own}" if cause else f"a box is {own}: export them so"
        yield "expected boxes inside the images", detail, fix


def _cause(tally: BoxTally) -> str:
    """Returns how the boxes seem to be written instead, empty where nothing explains nearly all of them."""
    if tally.box_format != "cxcywh" and tally.shares >= NEARLY_ALL * tally.four:
        return "shares of the image instead of pixels"
    if tally.box_format == "cxcywh" and tally.pixels >= NEARLY_ALL * tally.four:
        return "pixels instead of shares of the image"
    fitting = {name: tally.fits[name] for name in FORMATS if name != tally.box_format}
    best = max(fitting, key=lambda name: (fitting[name], name == "corners"))
    return FORMATS[best] if fitting[best] >= NEARLY_ALL * tally.four else ""


def _size_fault(num_images: int, others: int) -> Iterator[tuple[str, str, str]]:
    if others > MOST * (num_images + others):
        detail = f"another shape in {others} of {num_images + others} images"
        fix = "the images were stretched, cropped or padded after the export: give those that were annotated"
        yield "expected images of the width and height that the file tells", detail, fix


def _mostly_dropped(tally: BoxTally) -> Iterator[tuple[str, str, str]]:
    number = tally.dropped.total() - tally.dropped["duplicate-box"]
    if tally.lines >= FEWEST and number > MOST * tally.lines:
        rule, most = tally.dropped.most_common(1)[0]
        detail = f"{number} of {tally.lines} dropped, {most} of them: {RULES[rule]} ({tally.example[rule]})"
        yield "expected annotations of which most can be used", detail, "mend the annotations, or leave them out"


def judge_classes(counts: Mapping[int, int], names: Mapping[int, str], first_class: int) -> list[SplitFault]:
    """Returns whether all labels look one too high, or one too low: the class at one end never occurs, and the number
    beyond the other end does.

    Args:
        counts: class as it stands to number of lines, over all splits.
        names: category id to name.
        first_class: what is written for category 1.
    """
    seen = {index for index, number in counts.items() if number}
    low, high = (index - 1 + first_class for index in (min(names), max(names)))
    for start, beyond, unused, step, how in ((low, high + 1, low, 1, "high"), (low, low - 1, high, -1, "low")):
        if beyond in seen and unused not in seen and low + step <= min(seen) and max(seen) <= high + step:
            detail = f"{min(seen)} to {max(seen)}: {counts[beyond]} labels are of class {beyond}, which has no name"
            fix = f"the labels look one too {how}, as if they were counted from {start + step}: mend every class by one"
            return [("", f"expected classes from {low} to {high}", detail, fix)]
    return []


def judge_overlap(hashes: Mapping[str, Mapping[str, str]]) -> list[SplitFault]:
    """Returns which splits are the same pictures, or part of another: all bytes of all images are equal.

    Args:
        hashes: split to SHA-256 to the name of an image.
    """
    found: list[SplitFault] = []
    splits = list(hashes)
    for number, one in enumerate(splits):
        for two in splits[number + 1 :]:
            shared = hashes[one].keys() & hashes[two].keys()
            smaller = min(two, one, key=lambda name: len(hashes[name]))
            if shared and len(shared) == len(hashes[smaller]):
                detail = (
                    f"every one of the {len(shared)} pictures of {smaller} in {two if smaller == one else one}, too"
                )
                fix = "give the splits pictures of their own, or leave one of them out"
                found.append((two, f"expected other pictures than in {one}", detail, fix))
    return found
