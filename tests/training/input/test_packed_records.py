"""Records in two arrays."""

from __future__ import annotations

import pytest

from agropest.training.input.packed_records import PackedRecords

RECORDS = [{"image_id": i, "annotations": [{"bbox": [i, 0.1, 2, 3]}] * i} for i in range(5)]


def test_it_reads_as_the_list_does() -> None:
    packed = PackedRecords(iter(RECORDS))
    assert len(packed) == 5 and list(packed) == RECORDS
    assert [packed[0], packed[-1]] == [RECORDS[0], RECORDS[-1]]
    assert packed[1:4] == RECORDS[1:4] and packed[:0] == [] and packed[::-2] == RECORDS[::-2]
    for outside in (5, -6):
        with pytest.raises(IndexError):
            packed[outside]


def test_what_a_reader_does_to_a_record_stays_with_it() -> None:
    packed = PackedRecords(RECORDS)
    packed[1]["image_id"] = 9
    assert packed[1] == RECORDS[1]


def test_none_is_an_empty_sequence() -> None:
    assert not PackedRecords([]) and list(PackedRecords([])) == []
