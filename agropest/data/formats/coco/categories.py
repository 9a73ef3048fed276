"""The classes of some COCO files: one name for an id, one id for a name, and none that only groups others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agropest.data.formats.folder import nfc, plain
from agropest.data.health import DROPPED, Finding
from agropest.errors import fault
from agropest.readable import one_line

LARGEST_ID = 2**53  # what the engines of evaluation, which hold ids as float64, tell apart


def leave_out_groups(
    contents: Mapping[str, dict[str, Any]], paths: Mapping[str, Path], root: Path, findings: list[Finding]
) -> None:
    """Leaves out categories that only group others, as Roboflow writes one: no box has them, and others name them."""
    records = [record for content in contents.values() for record in content["categories"] if isinstance(record, dict)]
    used = {one.get("category_id") for content in contents.values() for one in content["annotations"] if _is_id(one)}
    own = [record for record in records if type(record.get("id")) is int and record["id"] in used]
    grouped = {str(record.get("supercategory")) for record in own}
    for split, content in contents.items():
        groups = [r for r in content["categories"] if _is_group(r, used, grouped)]
        if groups and len(groups) < len(content["categories"]):
            content["categories"] = [record for record in content["categories"] if record not in groups]
            name = paths[split].relative_to(root).as_posix()
            detail = ", ".join(f"{record['id']} {record['name']}" for record in groups)
            findings.append(Finding(split, name, 0, "category-of-categories", DROPPED, plain(plain_text(detail))[:300]))


def _is_id(annotation: Any) -> bool:
    """Returns whether an annotation has a category id that can be one."""
    return isinstance(annotation, dict) and type(annotation.get("category_id")) is int


def _is_group(record: Any, used: set[int], grouped: set[str]) -> bool:
    """Returns whether a category has no box, is of no group itself, and is the group of one that has."""
    if not isinstance(record, dict) or not isinstance(record.get("name"), str) or type(record.get("id")) is not int:
        return False
    is_top = record.get("supercategory") in (None, "", "none")
    return is_top and record["id"] not in used and record["name"] in grouped


def read_categories(
    contents: Mapping[str, dict[str, Any]], paths: Mapping[str, Path], faults: list[str]
) -> dict[int, str]:
    """Returns id to name of every category; adds what is wrong with them to ``faults``."""
    names: dict[int, str] = {}
    ids: dict[str, int] = {}
    for split, content in contents.items():
        for record in content["categories"]:
            index = record.get("id") if isinstance(record, dict) else None
            name = record.get("name") if isinstance(record, dict) else None
            where = f"{paths[split]}: categories"
            if type(index) is not int or not 0 <= index < LARGEST_ID or not isinstance(name, str):
                rule = "expected a whole number 'id' from 0 to 2^53 and a text 'name'"
                faults.append(fault(where, rule, record, "mend the record"))
            elif not name.strip() or plain_text(name) != name:
                faults.append(fault(where, f"expected a name for id {index}", name, "give the class a name"))
            elif names.setdefault(index, one_line(nfc(name))) != one_line(nfc(name)):
                fix = f"elsewhere this id is {names[index]!r}; give the splits the same categories"
                faults.append(fault(where, f"expected one name for id {index}", name, fix))
            elif ids.setdefault(nfc(name), index) != index:
                fix = f"id {ids[nfc(name)]} has it, too; metrics and tables go by name: rename one of the two"
                faults.append(fault(where, "expected a name of its own for each class", name, fix))
    if not names and not faults:
        faults.append(fault(str(next(iter(paths.values()))), "expected a category", [], "list the classes"))
    return names


def plain_text(text: str) -> str:
    """Returns the text as UTF-8 can hold it: half a surrogate pair, which JSON can write, becomes a question mark."""
    return text.encode(errors="replace").decode()
