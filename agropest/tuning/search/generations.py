"""``search: {method: pbt}``: the generations of a population, each suggested when the one before has ended.

A generation is written to ``results/<sweep>/search.json`` before its trials start, with the values that it was decided
by: a launch that continues reads it and trains what is missing. Who continues from whom is a function of the seed and
the stored evaluations (``agropest.sweep.sections.population``), so without that file the same is decided again. A
member is an ordinary trial whose value holds its segments. Only the newest generation is in the sweep: what is
ranked in the end has trained the whole schedule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from agropest.errors import SweepFileError, fault
from agropest.statistics.accuracy.metric import metric_value
from agropest.store.checksummed import copy_of, read_either, write_twice
from agropest.store.completeness import has_ended_for
from agropest.store.store import Store
from agropest.sweep.history import HISTORY_KEY, read_history
from agropest.sweep.sections.population import Member, first_generation, next_generation
from agropest.sweep.spec import SweepSpec, Variant
from agropest.sweep.trial import TrialSpec

Expand = Callable[[SweepSpec], list[TrialSpec]]
Values = dict[str, float | None]


@dataclass
class Generation:
    """One generation.

    Attributes:
        end: the iteration it ends at.
        values: label to the metric there, mean over seeds, and None of a member that failed; empty until it has ended.
    """

    end: int
    members: list[Member]
    values: Values = field(default_factory=dict)


class Population:
    """The generations of one sweep's population-based training.

    Args:
        spec: the sweep as its file has it.
        expand: from a sweep to its trials.

    Raises:
        SweepFileError: a generation takes the whole schedule.
    """

    def __init__(self, spec: SweepSpec, expand: Expand, store: Store) -> None:
        self.spec, self.expand, self.store = spec, expand, store
        origin = expand(replace(spec, variants=(Variant("origin", {}),), baseline="origin"))[0]
        self.schedule_iters, self._interval = origin.schedule_iters, spec.search.interval_iters
        if self._interval >= self.schedule_iters:
            where = f"{spec.path}: search.interval_iters"
            rule = f"expected less than SOLVER.MAX_ITER ({self.schedule_iters})"
            raise SweepFileError(fault(where, rule, self._interval, "a tenth of it is usual"))
        self._file = store.sweep_folder(spec.name) / "search.json"
        content = {**asdict(spec.search), "space": {key: asdict(law) for key, law in spec.search.space.items()}}
        del content["names"]  # there are none that the space does not hold
        header = {"rule": content, "metric": spec.metric, "seeds": spec.seeds, "origin": origin.signature}
        self._header = json.loads(json.dumps(header))
        kept = _read(self._file, self._header)
        self._is_begun = bool(kept)
        self.generations = kept or [Generation(self._interval, first_generation(spec.search))]

    @property
    def num_generations(self) -> int:
        """Generations of the whole schedule."""
        return math.ceil(self.schedule_iters / self._interval)

    @property
    def is_complete(self) -> bool:
        """Whether the last generation has been suggested."""
        return len(self.generations) == self.num_generations

    def in_words(self) -> str:
        """Returns which generation it is, who continues from another, and what is still to come."""
        number, newest = len(self.generations), self.generations[-1]
        text = f"pbt: generation {number} of {self.num_generations}, {len(newest.members)} members"
        text += f", to iteration {newest.end} of {self.schedule_iters}"
        for member in newest.members:
            if member.parent not in ("", member.label):
                changed = ", ".join(f"{key} {value}" for key, value in member.settings.items())
                text += f"; {member.label} continues from {member.parent} with {changed}"
        left = self.num_generations - number
        return text + (f"; {left} more {'is' if left == 1 else 'are'} decided by what comes out" if left else "")

    def sweep(self) -> SweepSpec:
        """Returns the sweep with the members of the newest generation."""
        return self._sweep_of(self.generations[-1])

    def earlier_trials(self) -> list[TrialSpec]:
        """Returns the members' trials of all generations but the newest."""
        return [trial for generation in self.generations[:-1] for trial in self._trials_of(generation)]

    def restart(self) -> None:
        """Forgets every generation: the next launch begins with the first."""
        for path in (self._file, copy_of(self._file)):
            path.unlink(missing_ok=True)
        self._is_begun = False
        self.generations = [Generation(self._interval, first_generation(self.spec.search))]

    def next_round(self) -> bool:
        """Suggests the next generation where the one before has ended and one is left; returns whether it did."""
        if not self._is_begun:
            self._is_begun = True
            self._write()
            return True
        newest = self.generations[-1]
        statuses = [self.store.folder(trial).status() for trial in self._trials_of(newest)]
        if not all(has_ended_for(status, self.spec.stopper) for status in statuses):
            return False
        newest.values = self._values(newest)
        number = len(self.generations)
        members = []
        if number < self.num_generations:
            members = next_generation(self.spec.search, number, newest.members, newest.values, newest.end)
        if members:
            end = min(newest.end + self._interval, self.schedule_iters)
            self.generations.append(Generation(end, members))
        self._write()
        self._remove_checkpoints(number)
        return bool(members)

    def _values(self, generation: Generation) -> Values:
        """Returns what each member's trials came to at the generation's end, mean over seeds; None: one failed."""
        found: dict[str, list[float | None]] = {}
        for trial in self._trials_of(generation):
            folder = self.store.folder(trial)
            records = [one for one in folder.read_evaluations("valid") if one.iteration == generation.end]
            well = records and folder.status().status.ended_well
            value = metric_value(records[0].metrics, self.spec.metric) or 0.0 if well else None
            found.setdefault(trial.label, []).append(value)
        return {label: None if None in its else fmean(v for v in its if v is not None) for label, its in found.items()}

    def _remove_checkpoints(self, number: int) -> None:
        """Removes those of the generation before the last of the first ``number``: what came from it has ended.

        A member of the last generation that failed may be tried again, from its ancestor. Where a checkpoint is wanted
        later all the same, its segment is trained again.
        """
        may_be_retried = number == self.num_generations and None in self.generations[number - 1].values.values()
        if number < 2 or may_be_retried:
            return
        for trial in self._trials_of(self.generations[number - 2]):
            folder = self.store.folder(trial)
            if any(folder.checkpoints.glob("*")):
                folder.claim().remove_checkpoints()

    def _sweep_of(self, generation: Generation) -> SweepSpec:
        members = [
            Variant(member.label, member.settings, history=member.history, segment_end=generation.end)
            for member in generation.members
        ]
        return replace(self.spec, variants=(*self.spec.variants, *members))

    def _trials_of(self, generation: Generation) -> list[TrialSpec]:
        labels = {member.label for member in generation.members}
        return [trial for trial in self.expand(self._sweep_of(generation)) if trial.label in labels]

    def _write(self) -> None:
        content = {"header": self._header, "generations": [_content(generation) for generation in self.generations]}
        write_twice(self._file, content)


def _read(path: Path, header: Mapping[str, Any]) -> list[Generation]:
    """Returns the generations that a file holds for this very search; none where it is another's, or damaged."""
    try:
        content = read_either(path, ("header", "generations"))
        if content is None or content["header"] != header:
            return []
        return [_generation(one) for one in content["generations"]]
    except (KeyError, TypeError):
        return []


def _content(generation: Generation) -> dict[str, Any]:
    members = [{**asdict(member), HISTORY_KEY: asdict(member)["history"]} for member in generation.members]
    for member in members:
        del member["history"]
    return {"end": generation.end, "members": members, "values": generation.values}


def _generation(content: Mapping[str, Any]) -> Generation:
    members: Sequence[Mapping[str, Any]] = content["members"]
    read = [Member(one["label"], one["settings"], read_history(one), one["parent"]) for one in members]
    return Generation(content["end"], read, content["values"])
