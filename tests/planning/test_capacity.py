"""Which demands no node could ever meet."""

from __future__ import annotations

import pytest

from agropest.machine import Card, Machine
from agropest.planning.capacity import node_of, unplaceable
from agropest.sweep.sections.resources import Resources
from agropest.sweep.trial import TrialSpec


def trials(*resources: Resources) -> list[TrialSpec]:
    return [TrialSpec(f"v{number}", 1, {}, data="d", resources=one) for number, one in enumerate(resources)]


def test_what_no_node_has_is_named_with_what_fits() -> None:
    here = node_of(Machine("EPYC", 2))
    [told] = unplaceable(trials(Resources(cpus=1), Resources(cpus=1, gpus=0.25), Resources(cpus=1, gpus=0.25)), [here])
    assert "a trial asks for 1 CPUs and 0.25 GPUs, got {'CPU': 2.0, 'GPU': 0.0}" in told
    assert "--set resources.gpus=0" in told
    [told] = unplaceable(trials(Resources(cpus=4)), [here])
    assert "--set resources.cpus=2" in told


def test_the_advice_is_all_that_is_missing_and_names_the_key_that_counts() -> None:
    here = node_of(Machine("EPYC", 2))
    [told] = unplaceable(trials(Resources(cpus=4, gpus=1)), [here])
    assert told.endswith("with --set resources.gpus=0 resources.cpus=2")
    [told] = unplaceable(trials(Resources(cpus=4, gpus=1)), [here], {"v0"})
    assert told.startswith("variants.v0.resources: ")
    assert told.endswith("with --set variants.v0.resources.gpus=0 variants.v0.resources.cpus=2")
    cards = node_of(Machine("EPYC", 4, (Card("card", 1 << 34),) * 2))
    [told] = unplaceable(trials(Resources(cpus=4, gpus=4)), [cards])
    assert told.endswith("ask for less: --set resources.gpus=2")


def test_what_one_node_has_fits() -> None:
    card = node_of(Machine("EPYC", 4, (Card("card", 1 << 34),)))
    assert unplaceable(trials(Resources(cpus=4, gpus=1)), [node_of(Machine("EPYC", 1)), card]) == []
    assert unplaceable(trials(Resources(auto=("cpus", "gpus"))), [node_of(Machine("EPYC", 1))]) == []
    assert unplaceable([], []) == []


def test_resources_given_to_ray_count(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("EPYC", 2)
    for told, counted in [('{"GPU": 1}', (2.0, 1.0)), ('{"CPU": 8}', (8.0, 0.0)), ("[", (2.0, 0.0)), ("", (2.0, 0.0))]:
        monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", told)
        assert (node_of(machine)["CPU"], node_of(machine)["GPU"]) == counted
