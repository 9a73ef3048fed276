"""What a plan says of the machine it is read on."""

from __future__ import annotations

from agropest.report.plan import lacking_resources
from agropest.results.machine import Card, Machine
from agropest.sweep.resources import Resources
from agropest.sweep.trial import TrialSpec


def trials(*resources: Resources) -> list[TrialSpec]:
    return [TrialSpec(f"v{number}", 1, {}, data="d", resources=one) for number, one in enumerate(resources)]


def test_a_plan_says_what_a_launch_here_would_lack() -> None:
    here = Machine("EPYC", 2)
    told = lacking_resources(trials(Resources(cpus=1), Resources(cpus=1, gpus=0.25)), here)
    assert "asks for 0.25 GPUs, and there are 0" in told
    assert "--set resources.gpus=0" in told
    told = lacking_resources(trials(Resources(cpus=4)), here)
    assert "asks for 4 cores, and there are 2" in told
    assert "--set resources.cpus=2" in told


def test_it_says_nothing_where_all_is_there() -> None:
    assert lacking_resources(trials(Resources(cpus=4, gpus=1)), Machine("EPYC", 4, (Card("card", 1 << 34),))) == ""
    assert lacking_resources([], Machine("EPYC", 1)) == ""
