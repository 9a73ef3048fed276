"""A metric of stored evaluations with its replicates on the same resampled images, each computed once."""

from __future__ import annotations

from agropest.statistics.accuracy.metric import basis_of
from agropest.statistics.bootstrap import replicate
from agropest.statistics.detections.boxes import Boxes
from agropest.statistics.detections.matching import Targets, match
from agropest.statistics.race.entrant import Sample
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec


class StoredSamples:
    """Reads validation evaluations.

    Args:
        targets: of the validation images.
        resamples: of them.
    """

    def __init__(self, store: Store, targets: Targets, metric: str, resamples: int) -> None:
        self.store, self.targets, self.metric, self.resamples = store, targets, metric, resamples
        self._known: dict[tuple[str, int], Sample] = {}

    def of(self, trial: TrialSpec, iteration: int) -> Sample:
        """Returns a trial's metric at an iteration at which it has been evaluated."""
        key = (trial.signature, iteration)
        if key not in self._known:
            folder = self.store.folder(trial)
            record = next(r for r in folder.read_evaluations("valid") if r.iteration == iteration)
            basis = basis_of(self.metric)
            boxes = Boxes.load(folder.boxes_path(record))
            found = match(self.targets, boxes, trial.config["TEST.DETECTIONS_PER_IMAGE"], [basis.area])
            drawn = replicate(found, basis, self.resamples, 0, trial.config["TEST.DEPLOYED_SCORE_THRESH"])
            value, replicates = drawn.of(self.metric)
            self._known[key] = Sample(float("nan") if value is None else value, replicates)
        return self._known[key]
