"""``resources:`` of a sweep file: numbers, ``auto``, and what is refused."""

from __future__ import annotations

import pytest

from agropest.sweep.sections.resources import MEASURABLE, Resources, read_max_concurrent, read_resources
from agropest.sweep.sections.section import Section


def read(content: object) -> tuple[Resources, str]:
    faults: list[str] = []
    resources = read_resources(Section({"resources": content}, "a.yaml:", faults))
    return resources, "\n".join(faults)


@pytest.mark.parametrize(
    ("content", "expected", "words"),
    [
        (None, Resources(), "1 CPU, 0 GPU"),
        ({"cpus": 2, "gpus": 0.25}, Resources(2.0, 0.25), "2 CPU, 0.25 GPU"),
        ("auto", Resources(auto=MEASURABLE), "CPU, GPU: auto"),
        ({"gpus": "auto", "cpus": 4}, Resources(cpus=4.0, auto=("gpus",)), "4 CPU, auto GPU"),
        ({"loader_workers": "auto"}, Resources(auto=("loader_workers",)), "1 CPU, 0 GPU"),
        ({"gpus": 2, "cpus": 8}, Resources(8.0, 2.0, processes=2), "8 CPU, 2 GPU, 2 processes"),
        ({"processes": 2, "cpus": 2}, Resources(2.0, processes=2), "2 CPU, 0 GPU, 2 processes"),
        ({"loader_workers": 3}, Resources(loader_workers=3), "1 CPU, 0 GPU, 3 loader workers"),
    ],
)
def test_what_is_read(content: object, expected: Resources, words: str) -> None:
    resources, faults = read(content)
    assert faults == ""
    assert resources == expected
    assert resources.in_words() == words


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        ({"gpus": 1.5}, ("resources.gpus", "1.5", "whole")),
        ({"gpus": 2, "processes": 3}, ("resources.processes", "2 cards", "3")),
        ({"gpu": "auto"}, ("resources.gpu", "did you mean 'gpus'?")),
        ({"cpus": "all"}, ("resources.cpus", "'all'")),
        ({"processes": 2, "cpus": "auto"}, ("resources.cpus", "one process")),
        ({"processes": "auto"}, ("resources.processes", "'auto'")),
        ("most", ("resources", "'most'")),
    ],
)
def test_what_is_refused(content: object, pieces: tuple[str, ...]) -> None:
    _, faults = read(content)
    assert len(faults.splitlines()) == 1
    for piece in pieces:
        assert piece in faults


@pytest.mark.parametrize(
    ("content", "is_lean"),
    [({}, True), ({"gpus": 0.25}, False), ({"gpus": 1, "lean": True}, True), ({"lean": False}, False)],
)
def test_lean_modules_are_the_default_on_the_cpu_alone(content: object, is_lean: bool) -> None:
    resources, faults = read(content)
    assert resources.is_lean is is_lean
    assert faults == ""


@pytest.mark.parametrize(
    ("content", "expected"), [(None, 0), ("auto", 0), ({"cpus": 2}, 0), ({"max_concurrent": 3}, 3)]
)
def test_how_many_at_a_time(content: object, expected: int) -> None:
    faults: list[str] = []
    top = Section({"resources": content}, "a.yaml:", faults)
    assert read_max_concurrent(top) == expected
    read_resources(top, is_sweep=True)
    assert faults == []


def test_how_many_at_a_time_is_the_sweeps_to_say_and_at_least_one() -> None:
    faults: list[str] = []
    read_resources(Section({"resources": {"max_concurrent": 3}}, "a.yaml: variants.slow", faults))
    assert "resources.max_concurrent: unknown key" in faults[0]
    assert read_max_concurrent(Section({"resources": {"max_concurrent": 0}}, "a.yaml:", faults)) == 0
    assert "max_concurrent: expected a whole number from 1" in faults[1]
