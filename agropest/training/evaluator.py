"""A trial's evaluations: makes them, stores them, knows which there are, and has the last word on them checked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from detectron2.config import CfgNode

from agropest import files
from agropest.modeling.precision import half_precision
from agropest.planning.speeds import DEVICE, THREADS
from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.accuracy.evaluation import evaluate_all
from agropest.statistics.accuracy.referee import ask_matching, ask_referee
from agropest.statistics.detections.boxes import Boxes
from agropest.statistics.race.patience import has_run_out
from agropest.store.chosen import best_evaluation
from agropest.store.records import VALID_AUGMENTED, EvaluationRecord
from agropest.store.replicate_cache import keep_replicates
from agropest.store.sharing.shared_work import TAKEN_FROM, Sharer
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training.evaluation import IMAGES_PER_BATCH, Detections, detect
from agropest.training.input.image_cache import ImageCache, open_split_cache
from agropest.training.input.mapper import CACHE_BYTES, ImageReader, TestMapper
from agropest.training.input.records import SplitRecords, load_records
from agropest.training.run_context import RunContext

logger = logging.getLogger(__name__)

EVALUATED = ("valid", "test")
NAMES = (*EVALUATED, VALID_AUGMENTED)


class Evaluator:
    """Evaluates one trial's models on the splits of its data.

    Args:
        trial: the trial.
        folder: claimed by this process.
        context: where the data is, by which metric the checkpoint is chosen.
        cfg: the trial's, as Detectron2 takes it.
        should_stop: asked between batches; True breaks off.

    Attributes:
        records: split name to its images and ground truth; without the training split where nothing is trained.
    """

    def __init__(
        self, trial: TrialSpec, folder: TrialFolder, context: RunContext, cfg: CfgNode, should_stop: Callable[[], bool]
    ) -> None:
        self.trial, self.folder, self.context, self.cfg = trial, folder, context, cfg
        self.should_stop = should_stop
        self.records: dict[str, SplitRecords] = {
            name: load_records(name, *paths)
            for name, paths in context.splits.items()
            if trial.trains or name in EVALUATED
        }
        self._mappers: dict[str, TestMapper] = {}

    def evaluate(
        self,
        split: str,
        model: Any,
        iteration: int,
        name: str = "",
        images_per_s: float = 0.0,
        then: float | None = None,
        taken_from: str = "",
    ) -> EvaluationRecord:
        """Evaluates a model on a split and stores boxes and metrics.

        Args:
            iteration: of the model.
            name: under which it is stored; empty: the split's.
            images_per_s: trained lately.
            then: when it would have been evaluated, had nothing happened, in seconds since 1970; None: now. The order
                counts for those who stop early.
            taken_from: name of another trial whose checkpoint it is.

        Raises:
            Interrupted: ``should_stop`` said so.
        """
        found = self.detect(split, model)
        return self.store(found, split, iteration, name, images_per_s, then, taken_from)

    def detect(self, split: str, model: Any) -> Detections:
        """Returns what a model finds in a split; nothing is stored.

        Raises:
            Interrupted: ``should_stop`` said so.
        """
        records = self.records[split]
        ahead = 2 * IMAGES_PER_BATCH if self.context.device == "cuda" else 0
        with half_precision(self.context.device, enabled=self.cfg.TEST.AMP.ENABLED):
            return detect(model, records.dicts, self._mapper(split), records.category_ids, self.should_stop, ahead)

    def store(
        self,
        found: Detections,
        split: str,
        iteration: int,
        name: str = "",
        images_per_s: float = 0.0,
        then: float | None = None,
        taken_from: str = "",
    ) -> EvaluationRecord:
        """Stores boxes and the metrics they come to; the arguments are those of :meth:`evaluate`."""
        records = self.records[split]
        metrics = evaluate_all(records.ground_truth, found.boxes, self.context.metric, *self._limits, records.targets)
        ran_on = {DEVICE: self.context.device_name, THREADS: self.context.num_threads}
        record = EvaluationRecord(
            split=name or split,
            iteration=iteration,
            metrics=metrics,
            num_boxes=len(found.boxes.score),
            num_images=found.num_images,
            time_s=found.time_s,
            train_images_per_s=images_per_s,
            extra={
                **(ran_on if self.context.device_name else {}),
                **({TAKEN_FROM: taken_from} if taken_from else {}),
            },
            stored_at=then or time.time(),
        )
        self.folder.write_evaluation(record, found.boxes.save)
        return record

    def take_over(self, record: EvaluationRecord, sharer: Sharer) -> EvaluationRecord:
        """Stores another trial's evaluation as this trial's, too: of the same weights, under the same setting."""
        extra = {**record.extra, TAKEN_FROM: sharer.name}
        taken = replace(record, train_images_per_s=0.0, extra=extra, stored_at=time.time())
        boxes = TrialFolder(sharer.folder).boxes_path(record)
        self.folder.write_evaluation(taken, lambda path: files.link(boxes, path))
        return taken

    def intact_iterations(self) -> set[int]:
        """Returns the iterations of which there is an intact evaluation on validation."""
        return {record.iteration for record in self.folder.read_evaluations("valid", check_boxes=True)}

    def best(self) -> list[int]:
        """Returns the iteration of the evaluation that validation chooses, as a list of at most one."""
        best = best_evaluation(self.folder.read_evaluations("valid"), self.context.metric)
        return [best.iteration] if best else []

    def is_out_of_patience(self, iteration: int) -> bool:
        """Returns whether ``TEST.PATIENCE`` ends the training after the evaluation of an iteration."""
        stored = self.folder.read_evaluations("valid")
        until = [one for one in stored if one.iteration <= iteration and self.trial.is_evaluation(one.iteration)]
        return has_run_out([one.metrics.get(AP) for one in until], self.cfg.TEST.PATIENCE)

    def untested(self, chosen: int) -> dict[str, str]:
        """Returns which evaluations of the chosen checkpoint are still to be made: their name to their split."""
        wanted = {"test": "test", **({VALID_AUGMENTED: "valid"} if self.cfg.TEST.AUG.ENABLED else {})}
        return {
            name: split
            for name, split in wanted.items()
            if split in self.records
            and all(record.iteration != chosen for record in self.folder.read_evaluations(name, check_boxes=True))
        }

    def ask_referee(self, iteration: int, from_outputs: Collection[str] = ()) -> tuple[str, ...]:
        """Has the metrics that tables show computed anew; returns where they differ, in words.

        Args:
            from_outputs: the evaluations, by name, that are made from the outputs of another trial's forward pass.
                There pycocotools is not asked again: see :mod:`agropest.statistics.accuracy.referee`.
        """
        found = []
        for record, records in self._stored(iteration):
            if record.split in from_outputs:
                values = self._bootstrapped(record, records)
                found.append(ask_matching(record.split, iteration, record.metrics, values))
            else:
                boxes = Boxes.load(self.folder.boxes_path(record))
                truth = records.ground_truth
                found.append(ask_referee(record.split, iteration, truth, boxes, record.metrics, *self._limits))
            logger.info(found[-1].summary())
        self.folder.write_referee(found)
        return tuple(finding.summary() for finding in found if not finding.agrees)

    def _bootstrapped(self, record: EvaluationRecord, records: SplitRecords) -> dict[str, float | None]:
        """Returns the metrics that the replicates of an evaluation are of, as their own matching computes them."""
        kept = keep_replicates(self.folder, record, records.targets, self.context.metric, self.trial.config)
        return {name: value for metric, one in kept.items() for name, value in one.values(metric).items()}

    def keep_replicates(self, iteration: int) -> None:
        """Computes what the ranking will ask of this trial, while its boxes are at hand."""
        for record, records in self._stored(iteration):
            keep_replicates(self.folder, record, records.targets, self.context.metric, self.trial.config)

    def image_cache(self, split: str) -> ImageCache | None:
        """Returns the decoded images of a split, which all trials of a machine share; None where there are none."""
        annotations, root = self.context.splits[split]
        place = annotations.stem, root  # the name says which share of the training pictures it is
        records, image_format = self.records[split].dicts, self.cfg.INPUT.FORMAT
        return open_split_cache(self.context.image_cache, self.trial.data, place, records, image_format)

    @property
    def _limits(self) -> tuple[int, float]:
        return self.cfg.TEST.DETECTIONS_PER_IMAGE, self.cfg.TEST.DEPLOYED_SCORE_THRESH

    def _stored(self, iteration: int) -> list[tuple[EvaluationRecord, SplitRecords]]:
        """Returns the evaluations of one checkpoint, each with what it was evaluated on."""
        found = []
        for name in NAMES:
            record = next((r for r in self.folder.read_evaluations(name) if r.iteration == iteration), None)
            split = name if name in self.records else "valid"
            if record is not None and split in self.records:
                found.append((record, self.records[split]))
        return found

    def _mapper(self, split: str) -> TestMapper:
        """Returns what prepares a split's images: made once, so that no evaluation after the first decodes them."""
        if split not in self._mappers:
            reader = ImageReader(self.records[split].dicts, self.cfg.INPUT.FORMAT, CACHE_BYTES, self.image_cache(split))
            self._mappers[split] = TestMapper(self.cfg, reader)
        return self._mappers[split]
