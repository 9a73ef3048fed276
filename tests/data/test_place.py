"""A path that is none names the folder that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.place import data_place
from agropest.errors import DataError


def test_a_folder_of_a_like_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "BCCD").mkdir()
    with pytest.raises(DataError, match=rf"did you mean '{tmp_path}/BCCD'\?"):
        data_place(tmp_path / "bcdc")


def test_where_nothing_is_like_it_the_fault_says_where_to_get_a_set(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for path in (tmp_path / "pests", tmp_path / "no" / "folder"):
        with pytest.raises(DataError, match="draws a demo set"):
            data_place(path)
