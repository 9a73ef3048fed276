"""Results files of a command: checked, scored and stored as every other evaluation is."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from agropest.errors import DataError, TrialError, fault
from agropest.planning.speeds import DEVICE, THREADS
from agropest.statistics.accuracy.evaluation import evaluate_all
from agropest.statistics.accuracy.referee import ask_referee
from agropest.statistics.detections.boxes import Boxes, GroundTruth, require_known_images
from agropest.statistics.detections.matching import read_targets
from agropest.store.chosen import best_evaluation
from agropest.store.records import EvaluationRecord
from agropest.store.replicate_cache import keep_replicates
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext

logger = logging.getLogger(__name__)

SPLITS = ("valid", "test")


class ResultsStore:
    """The evaluations of one command's trial.

    Args:
        trial: the trial.
        folder: claimed by this process, where something is stored.
        context: where the data is, by which metric the best evaluation is chosen.
    """

    def __init__(self, trial: TrialSpec, folder: TrialFolder, context: RunContext) -> None:
        self.trial, self.folder, self.context = trial, folder, context
        self._truths: dict[str, GroundTruth] = {}

    def store(self, split: str, iteration: int, path: Path, images_per_s: float = 0.0) -> EvaluationRecord:
        """Scores a results file and stores boxes and metrics; the file is then removed.

        Args:
            images_per_s: trained lately.

        Raises:
            TrialError: the file is not COCO results of this split's images and classes.
        """
        started = time.perf_counter()
        truth = self.ground_truth(split)
        boxes = read_boxes(path, truth)
        metrics = evaluate_all(truth, boxes, self.context.metric, *self._limits)
        ran_on = {DEVICE: self.context.device_name, THREADS: self.context.num_threads}
        record = EvaluationRecord(
            split=split,
            iteration=iteration,
            metrics=metrics,
            num_boxes=len(boxes),
            num_images=len(truth.images),
            time_s=time.perf_counter() - started,
            train_images_per_s=images_per_s,
            extra=ran_on if self.context.device_name else {},
            stored_at=time.time(),
        )
        self.folder.write_evaluation(record, boxes.save)
        path.unlink(missing_ok=True)
        return record

    def stored(self, split: str = "valid") -> dict[int, EvaluationRecord]:
        """Returns the stored evaluations of a split that are intact, by iteration."""
        return {record.iteration: record for record in self.folder.read_evaluations(split, check_boxes=True)}

    def best(self) -> int | None:
        """Returns the iteration that validation chooses; None where nothing is stored."""
        best = best_evaluation(self.folder.read_evaluations("valid"), self.context.metric)
        return best.iteration if best else None

    def ask_referee(self, iteration: int) -> tuple[str, ...]:
        """Has pycocotools compute anew the metrics that tables show; returns where it differs, in words."""
        found = []
        for record, truth in self._of(iteration):
            boxes = Boxes.load(self.folder.boxes_path(record))
            found.append(ask_referee(record.split, iteration, truth, boxes, record.metrics, *self._limits))
            logger.info(found[-1].summary())
        self.folder.write_referee(found)
        return tuple(finding.summary() for finding in found if not finding.agrees)

    def keep_replicates(self, iteration: int) -> None:
        """Computes what the ranking will ask of this trial, and keeps it in its folder."""
        for record, truth in self._of(iteration):
            keep_replicates(self.folder, record, read_targets(truth), self.context.metric, self.trial.config)

    def ground_truth(self, split: str) -> GroundTruth:
        """Returns the ground truth of a split, read once."""
        if split not in self._truths:
            self._truths[split] = GroundTruth.from_coco(self.context.splits[split][0])
        return self._truths[split]

    @property
    def _limits(self) -> tuple[int, float]:
        config = self.trial.config
        return int(config["TEST.DETECTIONS_PER_IMAGE"]), float(config["TEST.DEPLOYED_SCORE_THRESH"])

    def _of(self, iteration: int) -> list[tuple[EvaluationRecord, GroundTruth]]:
        """Returns the evaluations of an iteration, each with its ground truth."""
        stored = [(split, self.stored(split)) for split in SPLITS if split in self.context.splits]
        return [(its[iteration], self.ground_truth(split)) for split, its in stored if iteration in its]


def read_boxes(path: Path, truth: GroundTruth) -> Boxes:
    """Returns the boxes of a results file.

    Raises:
        TrialError: it is not COCO results of these images and classes; says which entry, and what to do.
    """
    try:
        boxes = Boxes.from_coco_results(path)
        require_known_images(boxes, [image["id"] for image in truth.images], str(path))
    except DataError as error:
        raise TrialError(*error.faults) from None
    known = list(truth.class_names)
    strange = ~np.isin(boxes.category_id, known)
    if strange.any():
        rule, fix = f"expected category ids {known}", "write the ids of the annotation file, not those of the model"
        raise TrialError(fault(str(path), rule, f"category_id {boxes.category_id[strange][0]}", fix))
    return boxes
