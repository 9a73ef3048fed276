"""What of a data set was not taken exactly as it stands, and what was done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from agropest import files
from agropest.readable import one_line

KEPT, CLIPPED, CHANGED, DROPPED = "kept", "clipped", "changed", "dropped"

# Every rule, and what it says; docs/data.md has the same table.
RULES = {
    # lines and records
    "columns": "a label line has neither 5 or 6 columns nor a polygon's odd number from 7",
    "class-not-a-number": "the class is a word",
    "class-fractional": "the class is a fraction such as 0.5",
    "class-as-decimal": "the class is written like 1.0",
    "class-out-of-range": "the class is not one of the data set's",
    "class-without-name": "data.yaml has no name for the class",
    "not-a-number": "a coordinate is no number",
    "not-finite": "a coordinate is NaN or infinite",
    "not-normalised": "a coordinate is above 2: pixels, not shares of the image",
    "no-size": "width or height is zero or negative",
    "sub-pixel": "less than a pixel wide or high inside the image",
    "outside": "the box lies outside the image",
    "over-border": "the box reaches over the border by more than a pixel",
    "polygon": "a polygon; its hull is the box",
    "key-points": "data.yaml has kpt_shape; the columns after each box are left out",
    "sixth-column": "a sixth number (a confidence) is ignored",
    "duplicate-box": "the same box of the same class stands above already",
    "same-box-two-classes": "the same box stands above with another class",
    "no-bbox": "a COCO annotation without a box, and without a mask to take it from",
    "box-from-mask": "a COCO annotation without a box; that around its mask is taken",
    "annotation-record": "a COCO annotation without image_id",
    "orphan-annotation": "COCO annotations of an image that is not listed",
    # images
    "category-of-categories": "a COCO category that has no box and only groups others is no class",
    "image-unreadable": "the image does not decode fully",
    "image-empty": "the image file has no bytes",
    "image-missing": "a COCO file or a list names an image that is not in the data set",
    "image-ambiguous": "a COCO file or a list names an image that could be either of two files",
    "image-twice": "a COCO file or a list names an image twice; it is taken once, with the boxes of both",
    "set-apart": "the set has no validation split; pictures of train are taken for it, and nothing is moved",
    "picture-in-two-splits": "another split has a picture of the same bytes: AP is of pictures that were trained on",
    "image-record": "a COCO image without id or file_name",
    "image-not-listed": "no COCO file lists the image",
    "same-stem": "another image has the same label file",
    "exif-orientation": "the picture is displayed turned; boxes and size are of the displayed picture",
    "more-than-8-bits": "16 bits or more: values above 255 are read as white",
    "transparency": "transparency is ignored",
    "colour-space": "CMYK or the like is converted without a colour profile",
    "several-frames": "an animation; the first frame is used",
    "size-differs": "COCO's width and height are not the displayed ones",
    "size-scaled": "COCO's width and height are the displayed ones times a factor; the boxes are scaled",
    "no-box-left": "the image had annotations, none of which can be used; it is background now",
    # files
    "label-missing": "the image has no label file; it is background",
    "label-elsewhere": "the label is not in labels/ in place of images/, but beside the image or in another folder",
    "label-unreadable": "the label file cannot be read",
    "label-name-differs": "image and label differ in Unicode form or in the label's suffix",
    "orphan-label": "a label without image",
    "not-an-image": "neither an image nor a label",
    "junk-file": "left by an operating system or a program",
    "link-leaves-data-set": "a link to outside the data set",
    "link-to-folder": "a link to a folder is not followed",
    "not-a-file": "a broken link, or something that cannot be read like a file",
    "name-not-utf8": "the file's name is not UTF-8",
    "folder-unreadable": "a folder cannot be listed",
    "folder-not-read": "a folder with images belongs to no split",
    "json-not-read": "a JSON file that is not taken for annotations of a split",
    "other-format": "COCO annotations beside a data.yaml",
    # data.yaml
    "nc-differs": "nc is not the number of names; the names count",
    "names-gap": "a class number without a name",
    "split-missing": "data.yaml names a folder that is not in the data set",
    "split-not-in-yaml": "data.yaml names no folder for the split",
    "split-key-twice": "data.yaml names a split under two keys",
    "folder-twice": "data.yaml names a folder twice for a split",
    "path-repaired": "a path that is not in the data set; what has its last parts is read",
    "unknown-key": "data.yaml has a key that is not used",
}


@dataclass(frozen=True, order=True)
class Finding:
    """One line, image or file that was not taken as it stands.

    Attributes:
        split: "train", "valid", "test", or empty for the data set itself.
        file: relative to the data set.
        line: counted from 1; 0 where the whole file is meant.
        rule: one of ``RULES``.
        action: one of kept, clipped, changed, dropped.
        detail: values.
    """

    split: str
    file: str
    line: int
    rule: str
    action: str
    detail: str

    def __post_init__(self) -> None:
        for key in ("file", "detail"):  # names of files are somebody else's, and are printed
            object.__setattr__(self, key, one_line(getattr(self, key)))
        assert self.rule in RULES, self.rule
        assert self.action in (KEPT, CLIPPED, CHANGED, DROPPED), self.action


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Writes ``health.json``: the findings by split, file and line."""
    files.write_json(path, [asdict(finding) for finding in sorted(findings)], indent=0)


def read_findings(path: Path) -> list[Finding]:
    """Returns what :func:`write_findings` wrote."""
    return [Finding(**item) for item in files.read_json(path)]


def count_rules(findings: Iterable[Finding]) -> list[tuple[str, str, str, int]]:
    """Returns ``(split, rule, action, number)`` of every kind of finding, most frequent first."""
    counts = Counter((finding.split, finding.rule, finding.action) for finding in findings)
    return [(*key, number) for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def findings_in_words(findings: Iterable[Finding], most: int = 5) -> str:
    """Returns how many findings of which kind there are, most frequent first; empty where there is none."""
    counts = Counter(finding.rule for finding in findings)
    kinds = [f"{rule} {number}" for rule, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    more = f" and {len(kinds) - most} kinds more" if len(kinds) > most else ""
    return f"not read as they are: {', '.join(kinds[:most])}{more}" if kinds else ""
