"""Where data.yaml's splits are: folders of images, or text files that list images."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from agropest import files
from agropest.data.formats.folder import inside, is_junk, plain
from agropest.data.formats.named_path import as_it_stands, path_parts, real_folder, tails
from agropest.data.formats.split_words import SPLIT_WORDS, split_of_parts
from agropest.data.health import KEPT, Finding
from agropest.errors import fault

# Ours to theirs, first match counts.
KEYS = {"train": ("train",), "valid": ("val", "valid", "validation"), "test": ("test",)}
LIST_SUFFIX = ".txt"


def refuse_shared(places: dict[str, tuple[Path, ...]], file: Path, root: Path, faults: list[str]) -> None:
    """Adds a fault where two splits are read from one place: a ranking would be computed on what was trained on."""
    for one, two in itertools.combinations(places, 2):
        shared = sorted({p.resolve() for p in places[one]} & {p.resolve() for p in places[two]})
        for path in shared:
            name = plain(path.relative_to(root).as_posix())
            fix = f"give {KEYS[two][0]} pictures of its own, or leave the key out"
            where = f"{file}: {KEYS[one][0]} and {KEYS[two][0]}"
            faults.append(fault(where, "expected other pictures in each split", f"{name} for both", fix))


def find_places(
    content: dict[Any, Any],
    split: str,
    file: Path,
    root: Path,
    base: Path | None,
    faults: list[str],
    findings: list[Finding],
) -> tuple[Path, ...]:
    """Returns a split's image folders and lists, from what data.yaml says or from where they usually are."""
    given = [key for key in KEYS[split] if content.get(key) not in (None, "", [])]
    if not given:
        return _usual_folder(split, file, root, findings)
    for other in given[1:]:
        detail = f"'{other}' is not used, '{given[0]}' is"
        findings.append(Finding(split, file.name, 0, "split-key-twice", KEPT, detail))
    value = content[given[0]]
    where = f"{file}: {given[0]}"
    places: list[Path] = []
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            faults.append(fault(where, "expected a folder of images", text, "write a path such as train/images"))
            continue
        found = _find_place(text, split, root, base)
        if len(found) > 1:
            names = [plain(place.relative_to(root).as_posix()) for place in found]
            fix = f"{text} is not there; name the one that is meant"
            faults.append(fault(where, "expected one folder of the split", names, fix))
        elif not found and split == "train":
            rule, fix = f"expected a folder of images inside {root}", _instead(split, root)
            faults.append(fault(where, rule, text, fix))
        elif not found:
            findings.append(Finding(split, file.name, 0, "split-missing", KEPT, f"no folder {text} in the data set"))
        elif found[0].is_file() and found[0].suffix.lower() != LIST_SUFFIX:
            fix = "name a folder, or a text file with a picture in each line"
            faults.append(fault(where, "expected a folder of images or a list (.txt)", text, fix))
        elif found[0] in places:
            findings.append(Finding(split, file.name, 0, "folder-twice", KEPT, f"{text} is read once"))
        else:
            places.append(found[0])
            _tell_repair(text, found[0], split, file, root, findings)
    return tuple(places)


def _usual_folder(split: str, file: Path, root: Path, findings: list[Finding]) -> tuple[Path, ...]:
    folders = [
        real_folder(root, parts) for word in SPLIT_WORDS[split] for parts in ([word, "images"], ["images", word])
    ]
    folder = next((folder for folder in folders if folder), None)
    if folder is None and split == "test":
        return ()  # a set needs none
    detail = f"{folder.relative_to(root).as_posix()} is used" if folder else "there is none"
    findings.append(Finding(split, file.name, 0, "split-not-in-yaml", KEPT, f"no '{KEYS[split][0]}'; {detail}"))
    return (folder,) if folder else ()


def _find_place(text: str, split: str, root: Path, base: Path | None) -> list[Path]:
    """Returns the folder or list that ``text`` means, inside the data set; several where that is not clear.

    What is not found as it stands is looked for by its last parts (:mod:`agropest.data.formats.named_path`), and then,
    where it names the split, in the folders that splits usually have.
    """
    parts = path_parts(text)
    as_written = as_it_stands(text, [*([base] if base else []), root], root) if _can_be_path(text) else None
    if as_written is not None:
        return [as_written]
    for tail in tails(parts):
        for start in [base, root] if base else [root]:
            found = real_folder(root, [*start.relative_to(root).parts, *tail]) or _real_file(start, tail, root)
            if found is not None:
                return [found]
    is_list = text.lower().endswith(LIST_SUFFIX)  # a folder holds more than what a list names
    return _usual_places(split, root) if split_of_parts(parts) == split and not is_list else []


def _can_be_path(text: str) -> bool:
    return len(text) < 4000 and "\0" not in text


def _real_file(start: Path, tail: list[str], root: Path) -> Path | None:
    path = start.joinpath(*tail)
    return path if files.is_file(path) and inside(root, path) else None


def _usual_places(split: str, root: Path) -> list[Path]:
    """Returns ``images/train``, ``train/images`` or ``train``, by the words that name the split."""
    found: dict[Path, None] = {}
    for word in SPLIT_WORDS[split]:
        usual = (real_folder(root, ["images", word]), real_folder(root, [word, "images"]))
        inner = [folder for folder in usual if folder]
        outer = real_folder(root, [word])
        found.update(dict.fromkeys(inner or ([outer] if outer else [])))
    return list(found)


def _instead(split: str, root: Path) -> str:
    """Returns what to do about a folder that is not there, with the folders that are."""
    there = sorted(plain(path.name) for path in root.iterdir() if path.is_dir() and not is_junk(path.name))
    detail = f"there are the folders {', '.join(there[:8])}" if there else "there is no folder"
    return f"put the images into {root / split / 'images'}, or name a folder inside {root} ({detail})"


def _tell_repair(text: str, place: Path, split: str, file: Path, root: Path, findings: list[Finding]) -> None:
    """Tells where another folder is read than data.yaml's words, beyond what every export leaves out."""
    name = place.relative_to(root).as_posix()
    parts = path_parts(text)
    if parts[-len(place.relative_to(root).parts) :] != list(place.relative_to(root).parts) and parts:
        detail = f"{text} is not in the data set; {plain(name)} is read"
        findings.append(Finding(split, file.name, 0, "path-repaired", KEPT, plain(detail)))
