"""From a chosen trial to a model folder that was checked against the stored evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agropest import __version__, files
from agropest.analysis.models.model_choice import ChosenModel, some_pictures
from agropest.deployment.config import WEIGHTS, deployed_config, merged
from agropest.deployment.detector import Detector, choose_device
from agropest.deployment.model_folder import CARD, README, ModelCard, write_card, write_config
from agropest.deployment.parity import Found, Parity, compare_found
from agropest.deployment.readme import readme
from agropest.deployment.weights import evaluated_weights, write_weights
from agropest.errors import StoreError, TrialError, fault
from agropest.statistics.detections.boxes import Boxes
from agropest.statistics.inference import Estimate
from agropest.store.replicate_cache import TEST
from agropest.store.sweep_record import SweepRecord, environment
from agropest.store.trial_folder import TrialFolder

TOLERANCE = 1e-4  # of pixels and scores, on the kind of device that evaluated (``parity`` has more for large pictures)
ON_ANOTHER_DEVICE = 1e-2
GRAPHS = ("model.ts", "model.onnx")


@dataclass(frozen=True)
class Packaged:
    """A model folder that was written.

    Attributes:
        check: against the stored boxes; None where no picture is there any more.
        num_checked: pictures.
    """

    path: Path
    card: ModelCard
    detector: Detector
    check: Parity | None
    num_checked: int


def package(
    record: SweepRecord, chosen: ChosenModel, estimates: Mapping[str, Estimate], out: Path, exports: Any = None
) -> Packaged:
    """Writes a model folder and compares its boxes with the stored ones on a few pictures of validation.

    Args:
        out: a new folder, or a model folder that is written over.
        exports: is called with the detector and the pictures, and returns file names with what was checked of them.

    Raises:
        StoreError: the checkpoint is gone, ``out`` holds something else, or the boxes are not the stored ones.
    """
    require_free(out)
    config = deployed_config(chosen.trial)
    state = evaluated_weights(chosen)
    device = choose_device()
    detector = Detector(merged(config, device), state, device)
    pictures = some_pictures(record.splits["valid"])
    check, num_checked = check_stored(detector, record, chosen, pictures)
    _require_equal(check, record, chosen, detector.device)
    for name in (CARD, *GRAPHS):  # of an earlier model: without its card a folder that is half written is none
        (out / name).unlink(missing_ok=True)
    digest = write_weights(out / WEIGHTS, state)
    write_config(out, config)
    exported = exports(detector, [path for _, path in pictures]) if exports else {}
    card = ModelCard(
        name=f"{record.name}/{chosen.trial.label}/{chosen.trial.seed}",
        categories=_categories(record),
        score_threshold=float(chosen.trial.config["TEST.DEPLOYED_SCORE_THRESH"]),
        evaluated_threshold=_lowest_score(chosen.trial.config),
        metric=record.metric,
        figures={split: _figure(one) for split, one in estimates.items()},
        metrics=_metrics(chosen),
        origin=_origin(record, chosen),
        weights_sha256=digest,
        needs_code=config.needs_code,
        needs_keys=config.needs_keys,
        checked=_in_words(check, num_checked),
        exports=exported,
    )
    files.write_text(out / README, readme(card))
    write_card(out, card)
    return Packaged(out, card, detector, check, num_checked)


def require_free(out: Path) -> None:
    """Raises StoreError where a folder holds something that is no model folder: nothing of it is written over."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / CARD).is_file()):
        fix = "give a new folder, or one that an earlier `model` has written"
        raise StoreError(fault(str(out), "expected a new folder or a model folder", "something else", fix))


def check_stored(
    detector: Detector, record: SweepRecord, chosen: ChosenModel, pictures: list[tuple[int, Path]]
) -> tuple[Parity | None, int]:
    """Returns how far the detector's boxes are from the stored ones, and on how many pictures that was looked at.

    None and 0 where these are of an evaluation in mixed precision, in which the folder does not predict.
    """
    if chosen.trial.config.get("TEST.AMP.ENABLED"):
        return None, 0
    stored = Boxes.load(TrialFolder(chosen.folder).boxes_path(chosen.evaluation))
    index = {one["id"]: number for number, one in enumerate(_categories(record))}
    lowest, most = _lowest_score(chosen.trial.config), int(chosen.trial.config["TEST.DETECTIONS_PER_IMAGE"])
    total, num_checked = Parity(), 0
    for image_id, path in pictures:
        try:
            found = Found.of(detector.detect(path))
        except TrialError:
            continue
        own = stored.where(stored.image_id == image_id)
        xywh = own.bbox_xywh.astype(np.float64)
        corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        classes = np.array([index[one] for one in own.category_id.tolist()], dtype=np.int64)
        total += compare_found(found, Found(corners, own.score, classes), lowest, most, TOLERANCE)
        num_checked += 1
    return (total, num_checked) if num_checked else (None, 0)


def _require_equal(check: Parity | None, record: SweepRecord, chosen: ChosenModel, device: str) -> None:
    evaluated_on_gpu = not str(chosen.evaluation.extra.get("device", "cores")).endswith("cores")
    is_alike = evaluated_on_gpu == (device == "cuda")
    if is_alike and not evaluated_on_gpu:  # other processors add in another order
        is_alike = record.environment.get("CPU", "") in ("", environment()["CPU"])
    tolerance = TOLERANCE if is_alike else ON_ANOTHER_DEVICE
    if check is not None and not check.holds(tolerance):
        rule = f"expected the boxes of the stored evaluation to {tolerance:g}"
        fix = "the pictures, the data set or Detectron2 have changed since; nothing was written"
        raise StoreError(fault(str(chosen.checkpoint), rule, check.in_words(), fix))


def _categories(record: SweepRecord) -> tuple[Mapping[str, Any], ...]:
    content = files.read_json(record.splits["valid"].annotations)["categories"]
    ordered = sorted(content, key=lambda one: one["id"])
    return tuple({"id": one["id"], "name": one["name"]} for one in ordered)


def _lowest_score(config: Mapping[str, Any]) -> float:
    is_rcnn = config["MODEL.META_ARCHITECTURE"] == "GeneralizedRCNN"
    return float(config["MODEL.ROI_HEADS.SCORE_THRESH_TEST" if is_rcnn else "MODEL.RETINANET.SCORE_THRESH_TEST"])


def _figure(one: Estimate) -> dict[str, float | None]:
    low, high = (one.interval.low, one.interval.high) if one.interval else (None, None)
    return {"value": one.value, "low": low, "high": high}


def _metrics(chosen: ChosenModel) -> dict[str, Mapping[str, float | None]]:
    folder = TrialFolder(chosen.folder)
    tests = [one for one in folder.read_evaluations(TEST) if one.iteration == chosen.evaluation.iteration]
    return {"valid": dict(chosen.evaluation.metrics), **({TEST: dict(tests[0].metrics)} if tests else {})}


def _origin(record: SweepRecord, chosen: ChosenModel) -> dict[str, Any]:
    return {
        "sweep": record.name,
        "variant": chosen.trial.label,
        "seed": chosen.trial.seed,
        "signature": chosen.trial.signature,
        "iteration": chosen.evaluation.iteration,
        "status": chosen.status,
        "data": {"name": record.data_name, "fingerprint": chosen.trial.data},
        "test_time_augmentation": bool(chosen.trial.config["TEST.AUG.ENABLED"]),
        "agropest": __version__,
        "environment": dict(record.environment),
    }


def _in_words(check: Parity | None, num_checked: int) -> str:
    if check is None:
        return ""
    return f"its boxes on {num_checked} validation pictures are the stored ones ({check.in_words()})"
