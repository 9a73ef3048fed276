"""What a race knows of seeds when it begins: from finished trainings of other sweeps, and the same after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import read_targets
from agropest.statistics.race.training_noise import NoiseVariance
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.seeds.stored_samples import StoredSamples
from agropest.store.store import Store
from agropest.store.sweep_record import describe_sweep, write_sweep_record
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping.race_noise import FILE, seed_noise_at_start


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("images") / "insects"
    draw_demo_dataset(folder, seed=4, train=2, valid=60, test=2, image_size_px=64)
    return load_dataset(folder, tmp_path_factory.mktemp("converted"))


def sweep(folder: Path, name: str, dataset: Dataset, more: str) -> tuple[SweepSpec, list[TrialSpec]]:
    path = folder / f"{name}.yaml"
    path.write_text(
        "config: {SOLVER: {MAX_ITER: 1000, STEPS: [600], WARMUP_ITERS: 10}, TEST.EVAL_PERIOD: 200}\n" + more
    )
    spec = load_sweep(path)
    return spec, expand_trials(spec, dataset.fingerprint, dataset.class_names)


def store_end(
    store: Store, trial: TrialSpec, dataset: Dataset, share: float, status: TrialState = TrialState.FINISHED
) -> None:
    """Stores the last evaluation, which finds a share of the objects, exactly."""
    truth = GroundTruth.from_coco(dataset.splits["valid"].annotations)
    some = [a for i, a in enumerate(truth.annotations) if (i * 7919) % 100 < 100 * share]
    boxes = Boxes(
        np.array([a["image_id"] for a in some]),
        np.array([a["category_id"] for a in some]),
        np.array([a["bbox"] for a in some], dtype=np.float32).reshape(-1, 4),
        np.full(len(some), 0.9, dtype=np.float32),
    )
    folder = store.folder(trial).claim()
    folder.write_spec(trial, "other")
    folder.write_evaluation(EvaluationRecord("valid", 1000, {"AP": 1.0}, len(boxes), 60, 0.1), boxes.save)
    folder.write_status(Status(status, 1000))


OTHERS = "variants: {baseline: {}, rare: {DATALOADER.REPEAT_THRESHOLD: 0.3}, slow: {SOLVER.BASE_LR: 0.0005}}\n"
OWN = "variants: {baseline: {}, focal: {DATALOADER.REPEAT_THRESHOLD: 0.1}}\nseeds: [9]\n"


def samples_of(store: Store, dataset: Dataset) -> StoredSamples:
    return StoredSamples(store, read_targets(GroundTruth.from_coco(dataset.splits["valid"].annotations)), "AP", 200)


def noise(spec: SweepSpec, trials: list[TrialSpec], store: Store, dataset: Dataset) -> NoiseVariance:
    return seed_noise_at_start(spec, trials, samples_of(store, dataset))


def test_the_race_begins_with_what_other_sweeps_show_of_seeds(images: Dataset, tmp_path: Path) -> None:
    other, others = sweep(tmp_path, "others", images, OTHERS + "seeds: [1, 2]\n")
    spec, own = sweep(tmp_path, "own", images, OWN)
    store = Store(tmp_path / "r")
    assumed = noise(spec, own, store, images)
    assert (assumed.sd, assumed.freedom, assumed.source) == (pytest.approx(0.9), 10.0, "assumed")
    write_sweep_record(describe_sweep(other, others, images), store)
    for trial in others:
        if trial.label != "slow":
            store_end(store, trial, images, 0.3 if trial.seed == 1 else 0.9)
    assert noise(spec, own, store, images) == assumed  # kept as the race began
    (store.sweep_folder("own") / FILE).write_text("damaged")
    assert noise(spec, own, store, images) == assumed  # of which there is a copy
    for path in store.sweep_folder("own").glob("race_noise*.json"):
        path.unlink()
    told = noise(spec, own, store, images)
    assert told.sd > 10
    assert told.source == "from 4 finished trainings of other sweeps"
    assert noise(spec, own, store, images) == told
    # Another baseline: its seeds say nothing of these.
    faster, variants = sweep(tmp_path, "faster", images, OWN.replace("baseline: {}", "baseline: {SOLVER.BASE_LR: 0.1}"))
    assert noise(faster, variants, store, images).source == "assumed"
    # So it is of a sweep of the same name whose baseline was changed since.
    changed, variants = sweep(tmp_path, "own", images, OWN.replace("baseline: {}", "baseline: {SOLVER.BASE_LR: 0.1}"))
    assert noise(changed, variants, store, images).source == "assumed"
    # A rule that takes seeds to do something else begins anew.
    spec, own = sweep(tmp_path, "own", images, OWN + "stop: {method: race, seed_noise: 0.5}\n")
    assert noise(spec, own, Store(tmp_path / "empty"), images).sd == pytest.approx(0.5)


def test_seeds_that_agree_make_it_less_than_assumed(images: Dataset, tmp_path: Path) -> None:
    other, others = sweep(tmp_path, "others", images, "variants: {baseline: {}}\nseeds: [1, 2, 3, 4, 5, 6]\n")
    spec, own = sweep(tmp_path, "own", images, OWN)
    store = Store(tmp_path / "r")
    write_sweep_record(describe_sweep(other, others, images), store)
    for trial in others:
        store_end(store, trial, images, 0.6)
    told = noise(spec, own, store, images)
    assert told.variance == pytest.approx(0.9**2 * 10 / 15)  # 5 degrees of freedom say 0
    assert told.freedom == pytest.approx(15.0)


def test_the_sweeps_own_trainings_do_not_count_twice(images: Dataset, tmp_path: Path) -> None:
    spec, own = sweep(tmp_path, "own", images, OWN.replace("[9]", "[1, 2]"))
    store = Store(tmp_path / "r")
    write_sweep_record(describe_sweep(spec, own, images), store)
    for trial in own:
        store_end(store, trial, images, 0.3 if trial.seed == 1 else 0.9)
    assert noise(spec, own, store, images).source == "assumed"
