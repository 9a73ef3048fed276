"""What is known of a trial's speed: from trials in the store, or from probes, of the same work or of similar work."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agropest import files
from agropest.planning.forecast import Speed
from agropest.planning.measurement import Measurement, similar_key, work_key
from agropest.planning.measurement_cache import MeasurementCache
from agropest.store.checksummed import verified
from agropest.store.records import EvaluationRecord
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec

# Keys of ``EvaluationRecord.extra``: on what the trial ran when it was evaluated.
DEVICE, THREADS = "device", "threads"
START_S = 2.0  # building a model and reading annotations, where it was not measured


@dataclass(frozen=True)
class _Stored:
    """A trial in the store that was fast enough to tell a speed."""

    work: str
    similar: str
    batch: int
    threads: int | None
    records: list[EvaluationRecord]


class Speeds:
    """Finds speeds.

    Args:
        store: its trials and its probes.
        device: the name of what the trials will run on; speeds of other devices are not used.
    """

    def __init__(self, store: Store, device: str) -> None:
        self._store, self._device, self._shelf = store, device, MeasurementCache(store)

    def of(self, trial: TrialSpec) -> Speed | None:
        """Returns the best known speed: of the same work in the store with as many threads, then of its
        probe, then with other threads, then of similar work."""
        work, similar = work_key(trial), similar_key(trial.config, trial.data)
        batch = int(trial.config["SOLVER.IMS_PER_BATCH"])
        exact, threads = [stored for stored in self._stored if stored.work == work], trial.resources.num_threads
        alike_run = [stored for stored in exact if stored.threads in (None, threads)]
        if alike_run:
            return _pace(alike_run, batch, _in_store(len(alike_run), "such"))
        probed = self._shelf.read(trial, self._device)
        if probed:
            return _probed(probed, trial, "probe")
        if exact:
            return _pace(exact, batch, _in_store(len(exact), "such") + " with other threads")
        alike = [stored for stored in self._stored if stored.similar == similar]
        if alike:
            return _pace(alike, batch, _in_store(len(alike), "similar"))
        probed = self._shelf.read_similar(trial, self._device)
        return _probed(probed, trial, "probe of a similar trial") if probed else None

    @cached_property
    def _stored(self) -> list[_Stored]:
        return list(self._read())

    def _read(self) -> Iterator[_Stored]:
        for path in sorted(self._store.trials.glob("*/trial.json")):
            records = [r for r in TrialFolder(path.parent).read_evaluations("valid") if self._tells(r)]
            try:
                content: dict[str, Any] = verified(files.read_json(path))
                trial = TrialSpec(content["label"], content["seed"], content["config"], content["data"])
                batch = int(trial.config["SOLVER.IMS_PER_BATCH"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if records:
                threads = records[-1].extra.get(THREADS)
                yield _Stored(work_key(trial), similar_key(trial.config, trial.data), batch, threads, records)

    def _tells(self, record: EvaluationRecord) -> bool:
        return record.extra.get(DEVICE) == self._device and record.train_images_per_s > 0 and record.num_images > 0


def _pace(stored: list[_Stored], batch: int, source: str) -> Speed:
    records = [record for trial in stored for record in trial.records]
    return Speed(
        step_s=batch / statistics.median(record.train_images_per_s for record in records),
        evaluation_image_s=statistics.median(record.time_s / record.num_images for record in records),
        start_s=START_S,
        source=source,
    )


def _probed(found: list[Measurement], trial: TrialSpec, source: str) -> Speed:
    """Takes the probe that was made most like the trial will run: modules, threads, as full a machine or card."""
    wanted = trial.resources

    def likeness(m: Measurement) -> tuple[bool, bool, bool, int]:
        modes = (m.lean, m.deterministic) == (wanted.is_lean, wanted.deterministic)
        neighbours = -abs(m.concurrent - wanted.per_card) if wanted.gpus else m.concurrent
        return modes, m.threads == wanted.num_threads, m.loader_workers == wanted.loader_workers, neighbours

    best = max(found, key=likeness)
    return Speed(best.step_s, best.evaluation_image_s, best.start_s, source)


def _in_store(number: int, which: str) -> str:
    return f"{number} {which} {'trial' if number == 1 else 'trials'} in the store"
