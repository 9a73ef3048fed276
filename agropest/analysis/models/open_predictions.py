"""The stored boxes of a sweep in formats that other tools read: COCO results, and a script that opens them in FiftyOne.

OUT/valid.json                                  the ground truth, COCO annotations with the pictures' file names
OUT/<variant>-s<seed>/valid-00000300.json       COCO results of one evaluation
OUT/open_in_fiftyone.py                         loads pictures, ground truth and the chosen evaluations
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agropest import files
from agropest.statistics.detections.boxes import Boxes
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import VALID_AUGMENTED, EvaluationRecord
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord
from agropest.sweep.trial import TrialSpec

SCRIPT = "open_in_fiftyone.py"
UNSAFE = re.compile(r"[^\w.+-]+")
FIFTYONE = '''\
"""Opens this sweep's pictures, annotations and predictions in FiftyOne (pip install fiftyone)."""

import json
from pathlib import Path

import fiftyone as fo
import fiftyone.utils.coco as fouc

HERE = Path(__file__).resolve().parent
NAME = {name}
# split: folder of the pictures, annotations
SPLITS = {splits}
# split: field in FiftyOne to a COCO results file
PREDICTIONS = {predictions}

for split, (pictures, annotations) in SPLITS.items():
    dataset = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=pictures,
        labels_path=str(HERE / annotations),
        include_id=True,
        label_field="ground_truth",
        name=f"{{NAME}}-{{split}}",
        overwrite=True,
    )
    categories = json.loads((HERE / annotations).read_text(encoding="utf-8"))["categories"]
    for field, file in PREDICTIONS[split].items():
        fouc.add_coco_labels(dataset, field, str(HERE / file), categories, coco_id_field="coco_id")

if __name__ == "__main__":
    fo.launch_app(fo.load_dataset(f"{{NAME}}-{{next(iter(SPLITS))}}")).wait()
'''


@dataclass(frozen=True)
class OpenPredictions:
    """What was written: evaluations, boxes, and the evaluations of which the boxes could not be read."""

    num_evaluations: int
    num_boxes: int
    damaged: tuple[str, ...]


def write_predictions(
    record: SweepRecord, store: Store, trials: Sequence[TrialSpec], out: Path, chosen_only: bool = False
) -> OpenPredictions:
    """Writes every stored evaluation of the trials as a COCO results file, the ground truth, and the FiftyOne script.

    Args:
        chosen_only: only the evaluations that trials are ranked by, and the tests of those checkpoints.

    Raises:
        DataError: the ground truth is not there any more.
    """
    splits = {name: record.splits[name] for name in ("valid", "test") if name in record.splits}
    for name, split in splits.items():
        files.write_json(out / f"{name}.json", files.read_json(split.annotations), indent=None)
    fields: dict[str, dict[str, str]] = {name: {} for name in splits}
    num_evaluations = num_boxes = 0
    damaged = []
    for trial in trials:
        folder = store.folder(trial)
        chosen = chosen_evaluation(folder, record.metric)
        place = file_name(trial)
        for one in _evaluations(trial, store, splits):
            is_chosen = chosen is not None and one.iteration == chosen.iteration and one.split in ("test", chosen.split)
            if chosen_only and not is_chosen:
                continue
            if not folder.has_intact_boxes(one):
                damaged.append(f"{trial.name} {one.stem}")
                continue
            results = Boxes.load(folder.boxes_path(one)).to_coco_results()
            files.write_text(out / place / f"{one.stem}.json", json.dumps(results, separators=(",", ":")) + "\n")
            num_evaluations, num_boxes = num_evaluations + 1, num_boxes + len(results)
            if is_chosen:
                fields["test" if one.split == "test" else "valid"][_field(trial)] = f"{place}/{one.stem}.json"
    script = FIFTYONE.format(
        name=repr(record.name),
        splits=repr({name: (str(split.image_root), f"{name}.json") for name, split in splits.items()}),
        predictions=repr(fields),
    )
    files.write_text(out / SCRIPT, script)
    return OpenPredictions(num_evaluations, num_boxes, tuple(damaged))


def file_name(trial: TrialSpec) -> str:
    """Returns a trial's name as a folder of any file system takes it."""
    return f"{UNSAFE.sub('_', trial.label)}-s{trial.seed}"


def _field(trial: TrialSpec) -> str:
    """Returns a trial's name as FiftyOne takes it for a field: letters, digits and underscores."""
    return re.sub(r"\W", "_", f"{trial.label}_s{trial.seed}", flags=re.ASCII)


def _evaluations(trial: TrialSpec, store: Store, splits: Collection[str]) -> Iterator[EvaluationRecord]:
    folder = store.folder(trial)
    for name in ("valid", VALID_AUGMENTED, "test"):
        if name in splits or name == VALID_AUGMENTED:
            yield from folder.read_evaluations(name)
