"""Measurements that are kept in the results folder, so that a second launch measures nothing.

results/probes/<work key>-<device>.json     a list of measurements, one for each way it was measured
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from agropest import files
from agropest.planning.measurement import Measurement, Way, similar_key, work_key
from agropest.store.checksummed import checksummed, read_checksummed
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec


class MeasurementCache:
    """The kept measurements.

    Args:
        store: the results folder.
    """

    def __init__(self, store: Store) -> None:
        self.folder = store.root / "probes"

    def read(self, trial: TrialSpec, device: str) -> list[Measurement]:
        """Returns what was measured of the trial's kind of work on a device; what cannot be read is left out."""
        return list(self._read(self._path(trial, device)))

    def read_similar(self, trial: TrialSpec, device: str) -> list[Measurement]:
        """Returns what was measured of trials like this one on a device."""
        similar = similar_key(trial.config, trial.data)
        paths = sorted(self.folder.glob(f"{similar}-*-{_slug(device)}.json"))
        return [measured for path in paths for measured in self._read(path)]

    def find(self, trial: TrialSpec, device: str, way: Way) -> Measurement | None:
        """Returns the measurement that was made in exactly this way, or None."""
        return next((found for found in self.read(trial, device) if found.way == way), None)

    def keep(self, trial: TrialSpec, measurement: Measurement) -> None:
        """Adds a measurement; one that was made in the same way before is replaced."""
        path = self._path(trial, measurement.device)
        others = [other for other in self._read(path) if other.way != measurement.way]
        files.write_json(path, checksummed({"measurements": [asdict(m) for m in (*others, measurement)]}))

    def _path(self, trial: TrialSpec, device: str) -> Path:
        name = f"{similar_key(trial.config, trial.data)}-{work_key(trial)}-{_slug(device)}.json"
        return self.folder / name

    @staticmethod
    def _read(path: Path) -> Iterator[Measurement]:
        measurements = (read_checksummed(path) or {}).get("measurements", [])
        for item in measurements if isinstance(measurements, list) else []:
            try:
                yield Measurement(**item)
            except TypeError:
                continue  # of another version, or damaged: it is measured again


def _slug(device: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", device).strip("-")[:60]
