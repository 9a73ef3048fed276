"""Comparisons from prediction files and from the store."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agropest.analysis.candidates import Candidate, Drawn
from agropest.analysis.compared import Comparison
from agropest.analysis.comparison import compare_candidates
from agropest.analysis.guards import BROKEN, DROPPED, HELD, NO_GROUND_TRUTH, UNCLEAR, check_guard
from agropest.analysis.open_questions import questions
from agropest.analysis.prediction_comparison import compare_detectors
from agropest.analysis.ranking import DAMAGED, rank_trials
from agropest.analysis.sweep_comparison import compare_trials
from agropest.report.columns.variants import verdict
from agropest.report.tables.variants import comparison_rows, table_texts
from agropest.report.verdicts import remarks
from agropest.statistics.accuracy.average_precision import AP, evaluate
from agropest.statistics.accuracy.metric import BASES, F1_DEPLOYED
from agropest.statistics.bootstrap import Replicates
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import read_targets
from agropest.statistics.inference import (
    ALIKE,
    BETTER,
    HIGHER,
    HIGHER_HERE,
    INCONCLUSIVE,
    LOWER,
    UNFINISHED,
    UNKNOWN,
    Estimate,
    Interval,
)
from agropest.store import replicate_cache as kept_replicates
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.sections.guard import Guard
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec

NUM_IMAGES, SIDE = 40, 100.0


def draw_truth(seed: int) -> GroundTruth:
    """One object of one of two classes in each image."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = [
        {
            "id": i,
            "image_id": i,
            "category_id": int(random.integers(1, 3)),
            "bbox": [0.0, 0.0, SIDE, SIDE],
            "area": SIDE**2,
            "iscrowd": 0,
        }
        for i in range(1, NUM_IMAGES + 1)
    ]
    categories = [{"id": 1, "name": "Ants"}, {"id": 2, "name": "Bees"}]
    return GroundTruth([{"id": i} for i in range(1, NUM_IMAGES + 1)], categories, annotations)


def detect(truth: GroundTruth, seed: int, quality: float = 0.8, ants: float = 1.0) -> Boxes:
    """Finds objects with a probability (ants: that times ``ants``), not quite in place; a false box in each image."""
    random = np.random.default_rng(seed)
    rows = []
    for a in truth.annotations:
        found = random.random() < quality * (ants if a["category_id"] == 1 else 1.0)
        off = float(random.uniform(0, 30))
        if found:
            rows.append((a["image_id"], a["category_id"], [off, 0.0, SIDE, SIDE], random.uniform(0.4, 1.0)))
        rows.append((a["image_id"], int(random.integers(1, 3)), [300.0, 300.0, SIDE, SIDE], random.uniform(0, 0.7)))
    image, category, bbox, score = (np.array([row[i] for row in rows]) for i in range(4))
    return Boxes(image, category, bbox.astype(np.float32), score.astype(np.float32))


TRUTH = {"valid": draw_truth(0), "test": draw_truth(1)}


def variants(comparison: Comparison) -> dict[str, Any]:
    return {one.label: one for one in comparison.variants}


def test_prediction_files() -> None:
    good = detect(TRUTH["valid"], 0)
    detectors = {"one": good, "same": good, "bad": detect(TRUTH["valid"], 0, quality=0.2)}
    comparison = compare_detectors(TRUTH["valid"], detectors, resamples=400)
    found = variants(comparison)
    assert (comparison.baseline, comparison.num_images, comparison.num_boxes) == ("one", 40, 40)
    assert found["one"].estimate.value == pytest.approx(evaluate(TRUTH["valid"], good)[AP], abs=1e-9)
    assert found["one"].difference is None
    assert (found["same"].difference.value, found["same"].difference.verdict) == (0.0, INCONCLUSIVE)
    assert (found["bad"].difference.verdict, found["bad"].rank) == (LOWER, 3)
    assert [one.ties_with_best for one in comparison.variants] == [True, True, False]
    assert "scores lower than one on these images: bad (" in comparison.sentence
    assert comparison.is_of_checkpoints
    assert json.loads(json.dumps(asdict(comparison), allow_nan=False))["metric"] == AP


def test_a_guard_marks_a_variant_that_loses_its_class() -> None:
    detectors = {"one": detect(TRUTH["valid"], 0), "no-ants": detect(TRUTH["valid"], 0, ants=0.1)}
    guards = [Guard("Ants", 2.0), Guard("Bees", 99.0)]
    found = variants(compare_detectors(TRUTH["valid"], detectors, guards=guards, resamples=400))
    assert [guard.state for guard in found["no-ants"].guards] == [BROKEN, HELD]
    assert found["no-ants"].per_class["Ants"].value < -10
    assert found["one"].guards == ()


@pytest.mark.parametrize(
    ("value", "interval", "state"),
    [
        (-1.0, (-1.9, 0.5), HELD),
        (-1.0, (-3.0, 1.0), UNCLEAR),
        (-1.0, None, UNCLEAR),  # one image
        (-3.75, (-27.65, 20.15), DROPPED),
        (-3.75, None, DROPPED),
        (-3.75, (-6.0, -0.1), BROKEN),
        (0.0, (-1.0, 1.0), HELD),
        (None, None, NO_GROUND_TRUTH),
    ],
)
def test_the_states_of_a_guard(value: float | None, interval: tuple[float, float] | None, state: str) -> None:
    told = {"Ants": Estimate(value, Interval(*interval) if interval else None)}
    assert check_guard(Guard("Ants", 2.0), told).state == state


def test_a_guard_on_a_class_without_ground_truth_says_so() -> None:
    truth = replace(TRUTH["valid"], categories=[*TRUTH["valid"].categories, {"id": 3, "name": "Moths"}])
    detectors = {"one": detect(truth, 0), "two": detect(truth, 1)}
    comparison = compare_detectors(truth, detectors, guards=[Guard("Moths", 2.0)], resamples=100)
    assert [guard.state for guard in variants(comparison)["two"].guards] == [NO_GROUND_TRUTH]
    assert "two: guard on Moths: n/a: no ground truth" in remarks(comparison)


def test_a_drop_that_is_not_established_is_not_called_a_loss() -> None:
    detectors = {"one": detect(TRUTH["valid"], 0), "two": detect(TRUTH["valid"], 0, ants=0.8)}
    comparison = compare_detectors(TRUTH["valid"], detectors, guards=[Guard("Ants", 2.0)], resamples=400)
    [two] = [one for one in comparison.variants if one.label == "two"]
    told = two.per_class["Ants"]
    assert told.value is not None
    assert told.interval is not None
    assert told.value < -2 < 0 < told.interval.high
    assert verdict(two, comparison) == "inconclusive; Ants dropped, not established"


def test_the_boxes_of_a_metric_are_counted() -> None:
    detectors = {"one": detect(TRUTH["valid"], 0), "two": detect(TRUTH["valid"], 1)}
    ants = sum(a["category_id"] == 1 for a in TRUTH["valid"].annotations)
    for metric, number in (("AP-Ants", ants), ("AP-Bees", 40 - ants), ("AP-Ants,AP-Bees", 40), ("AP_worst", 40)):
        comparison = compare_detectors(TRUTH["valid"], detectors, metric, resamples=100)
        assert comparison.num_boxes == number
        assert f"40 images with {number} boxes" in comparison.sentence
    small = compare_detectors(TRUTH["valid"], detectors, "APs", resamples=100)
    assert small.num_boxes == 0


def test_one_image_tells_nothing_about_others() -> None:
    truth = replace(TRUTH["valid"], images=[{"id": 1}], annotations=TRUTH["valid"].annotations[:1])
    boxes = detect(truth, 3, quality=1.0)
    comparison = compare_detectors(truth, {"one": boxes, "two": boxes.where(boxes.score < 0)}, resamples=100)
    assert [one.estimate.interval for one in comparison.variants] == [None, None]
    assert all(one.difference is None for one in comparison.variants)


def put(
    store: Store, label: str, seed: int, status: str, by_iteration: Mapping[int, float], of: str = "", **levels: str
) -> TrialSpec:
    """Stores a trial with detectors of some quality at some iterations; a finished one is tested, too.

    ``of`` names the variant whose training it evaluates.
    """
    config = {"SOLVER.MAX_ITER": 100, "TEST.EVAL_PERIOD": 10, "LABEL": of or label, "SEED": seed}
    trial = TrialSpec(label=label, seed=seed, config=config, data="d", levels=levels)
    if of:
        config = {**config, "TEST.SETTING": label}
        trial = replace(trial, config=config, evaluates=EvaluatedCheckpoint(of, "last", {"TEST.SETTING": ""}))
    folder = store.folder(trial).claim()
    splits = ["valid", "test"] if status == TrialState.FINISHED else ["valid"]
    for iteration, quality in by_iteration.items():
        for split in splits if iteration == max(by_iteration) else ["valid"]:
            boxes = detect(TRUTH[split], seed, quality)
            record = EvaluationRecord(split, iteration, evaluate(TRUTH[split], boxes), len(boxes), NUM_IMAGES, 0.1)
            folder.write_evaluation(record, boxes.save)
    folder.write_status(Status(status, max(by_iteration, default=0)))
    return trial


def compared(trials: list[TrialSpec], store: Store) -> Comparison:
    return compare_trials(trials, store, TRUTH, AP, "baseline", resamples=300)


def test_a_stopped_trial_is_compared_at_equal_iterations_and_has_no_rank(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, "baseline", 1, TrialState.FINISHED, {10: 0.3, 20: 0.5, 100: 0.9}),
        put(store, "stopped", 1, TrialState.STOPPED, {10: 0.1, 20: 0.5}),
        put(store, "better", 1, TrialState.FINISHED, {10: 0.3, 100: 0.9}),
        put(store, "failed", 1, TrialState.FAILED, {}),
    ]
    comparison = compared(trials, store)
    found = variants(comparison)
    assert [one.label for one in comparison.variants][2:] == ["stopped", "failed"]
    stopped = found["stopped"]
    assert (stopped.rank, stopped.equal_iterations, stopped.iterations) == (None, (20,), (20,))
    assert stopped.difference.value == 0.0  # as good as the baseline was then, far below what it is now
    assert stopped.estimate.value < found["baseline"].estimate.value - 10
    assert not stopped.ties_with_best
    assert found["failed"].estimate.value is found["failed"].difference is None
    assert found["better"].equal_iterations == ()
    assert found["baseline"].test is not None
    assert found["baseline"].gap.value == pytest.approx(
        found["baseline"].estimate.value - found["baseline"].test.value, abs=1e-9
    )
    assert stopped.test is None


def test_what_was_not_evaluated_in_common_with_the_baseline_is_not_compared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, "baseline", 1, TrialState.FINISHED, {10: 0.3, 100: 0.9}),
        put(store, "elsewhere", 1, TrialState.STOPPED, {7: 0.1}),
        put(store, "another-seed", 2, TrialState.STOPPED, {10: 0.1}),
        put(store, "better", 1, TrialState.FINISHED, {10: 0.3, 100: 0.95}),
    ]
    found = variants(compared(trials, store))
    for label in ("elsewhere", "another-seed"):
        one = found[label]
        assert (one.difference, one.per_class, one.rank) == (None, {}, None)
        assert one.estimate.value is not None
        assert any("not compared" in note for note in one.notes)
        assert verdict(one, compared(trials, store)) == ""
    assert found["better"].difference is not None


def test_a_baseline_that_has_not_finished_is_met_at_equal_iterations(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, "baseline", 1, TrialState.STOPPED, {10: 0.5}),
        put(store, "whole", 1, TrialState.FINISHED, {10: 0.5, 100: 0.9}),
    ]
    whole = variants(compared(trials, store))["whole"]
    assert (whole.rank, whole.iterations, whole.equal_iterations) == (1, (100,), (10,))
    assert whole.difference.value == 0.0


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"?" * path.stat().st_size), Path.unlink])
def test_a_trial_that_is_damaged_later_counts_as_interrupted(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, label, 1, TrialState.FINISHED, {10: 0.4, 100: 0.8}) for label in ("baseline", "tested", "lost")
    ]
    tested, lost = (store.folder(trial).evaluations for trial in trials[1:])
    for path in (tested / "test-00000100.npz", lost / "valid-00000100.npz"):
        damage(path)
    comparison = compared(trials, store)
    found = variants(comparison)
    rows = {row.label: row for row in rank_trials(trials, store, AP, comparison.damaged)}
    assert (found["baseline"].status, found["baseline"].rank) == (TrialState.FINISHED, 1)
    assert (rows["baseline"].status, rows["baseline"].rank) == (TrialState.FINISHED, 1)
    for label, iterations in (("tested", (100,)), ("lost", (10,))):
        one = found[label]
        assert (one.status, one.rank, one.test, one.equal_iterations) == (
            TrialState.INTERRUPTED,
            None,
            None,
            iterations,
        )
        assert DAMAGED in one.notes
        assert (rows[label].status, rows[label].rank, rows[label].test) == (TrialState.INTERRUPTED, None, {})
        assert rows[label].reason == DAMAGED


def test_several_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, label, seed, TrialState.FINISHED, {100: 0.8}) for label in ("baseline", "same") for seed in (1, 2, 3)
    ]
    trials.append(put(store, "partly", 1, TrialState.FINISHED, {100: 0.8}))
    trials.append(put(store, "partly", 2, TrialState.FAILED, {}))
    found = variants(compared(trials, store))
    values = [evaluate(TRUTH["valid"], detect(TRUTH["valid"], seed, 0.8))[AP] for seed in (1, 2, 3)]
    assert found["baseline"].seeds == (1, 2, 3)
    assert found["baseline"].estimate.value == pytest.approx(np.mean(values), abs=1e-9)
    assert found["baseline"].seed_spread == pytest.approx(np.std(np.array(values, dtype=float), ddof=1), abs=1e-9)
    assert found["same"].difference.value == 0.0
    assert found["same"].difference.p == 1.0  # seed by seed the same detector
    assert found["partly"].seed_spread is None
    assert "1 of 2 seeds have finished" in found["partly"].notes


def test_one_training_evaluated_in_many_ways_says_no_more_of_seeds(tmp_path: Path) -> None:
    """As trainings of their own they would make the noise of a seed look common to all, and every difference sure."""
    store, finished = Store(tmp_path), TrialState.FINISHED
    qualities = {"baseline": (0.5, 0.8, 0.65), "other": (0.8, 0.55, 0.9)}
    trials = [
        put(store, label, seed, finished, {100: quality})
        for label, its in qualities.items()
        for seed, quality in enumerate(its, start=1)
    ]
    alone = compared(trials, store)
    trials += [
        put(store, f"baseline+{number}", seed, finished, {100: quality}, of="baseline")
        for number in range(5)
        for seed, quality in enumerate(qualities["baseline"], start=1)
    ]
    together = compared(trials, store)
    assert alone.seeds is not None
    assert (alone.seeds.trainings, alone.seeds.variants) == (6, 2)
    assert together.seeds == alone.seeds
    ours, theirs = variants(together)["other"].difference, variants(alone)["other"].difference
    assert (ours.value, ours.interval) == (theirs.value, theirs.interval)
    assert variants(together)["baseline+3"].difference.value == 0.0


def evaluated_otherwise(store: Store, seeds: tuple[int, ...]) -> list[TrialSpec]:
    """A baseline, a far better evaluation of it, one that changes nothing, and another training."""
    qualities = {"baseline": 0.3, "baseline+high": 0.95, "baseline+same": 0.3, "other": 0.95}
    return [
        put(store, label, seed, TrialState.FINISHED, {100: quality}, of="baseline" if "+" in label else "")
        for label, quality in qualities.items()
        for seed in seeds
    ]


def test_two_evaluations_of_one_training_are_compared_on_that_training(tmp_path: Path) -> None:
    comparison = compared(evaluated_otherwise(Store(tmp_path), (1,)), Store(tmp_path))
    found = variants(comparison)
    verdicts = {label: one.difference.verdict for label, one in found.items() if one.difference}
    assert verdicts == {"baseline+high": HIGHER_HERE, "baseline+same": INCONCLUSIVE, "other": UNKNOWN}
    assert "on this training scores higher than baseline: baseline+high (+" in comparison.sentence
    assert "better" not in comparison.sentence
    lines = remarks(comparison)
    assert any("own training, of one seed, are compared with it on that training" in line for line in lines)
    assert not any("training by training" in line for line in lines)
    assert all(one.ties_with_best for one in comparison.variants)  # of variants nothing is known
    assert verdict(found["baseline+high"], comparison) == HIGHER_HERE
    asked = {frozenset((one.one, one.other)) for one in questions(comparison)}
    assert asked == {frozenset(("other", "baseline")), frozenset(("other", "baseline+high"))}


def test_several_trainings_that_are_evaluated_otherwise_are_paired(tmp_path: Path) -> None:
    comparison = compared(evaluated_otherwise(Store(tmp_path), (1, 2, 3)), Store(tmp_path))
    found = variants(comparison)
    verdicts = {label: one.difference.verdict for label, one in found.items() if one.difference}
    assert verdicts == {"baseline+high": BETTER, "baseline+same": INCONCLUSIVE, "other": BETTER}
    high, other = found["baseline+high"].difference, found["other"].difference
    assert (high.is_within, other.is_within) == (True, False)
    assert comparison.seeds is not None
    assert (comparison.seeds.trainings, comparison.seeds.variants) == (6, 2)
    lines = remarks(comparison)
    assert any("own trainings are compared with it training by training" in line for line in lines)
    assert not any("of one seed" in line for line in lines)


def test_the_seeds_that_finish_do_not_speak_for_those_that_were_stopped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [put(store, "baseline", seed, TrialState.FINISHED, {10: 0.3, 100: 0.8}) for seed in (1, 2, 3)]
    trials.append(put(store, "lucky", 1, TrialState.FINISHED, {10: 0.5, 100: 0.9}))
    trials += [put(store, "lucky", seed, TrialState.STOPPED, {10: 0.05}) for seed in (2, 3)]
    comparison = compared(trials, store)
    lucky = variants(comparison)["lucky"]
    assert (lucky.rank, lucky.status, lucky.seeds, lucky.test) == (None, "1 of 3 finished", (1, 2, 3), None)
    assert (lucky.iterations, lucky.equal_iterations) == ((100, 10, 10), (100, 10, 10))
    assert not lucky.ties_with_best

    def ap(seed: int, quality: float) -> float:
        return evaluate(TRUTH["valid"], detect(TRUTH["valid"], seed, quality))[AP] or 0.0

    ours, theirs = (ap(1, 0.9), ap(2, 0.05), ap(3, 0.05)), (ap(1, 0.8), ap(2, 0.3), ap(3, 0.3))
    assert lucky.estimate.value == pytest.approx(np.mean(ours), abs=1e-5)
    assert lucky.difference.value == pytest.approx(np.mean(ours) - np.mean(theirs), abs=1e-5)
    row = comparison_rows(comparison)[1]
    assert (row["rank"], row["status"], row["verdict"]) == (None, "1 of 3 finished", "inconclusive at equal iterations")
    assert row["seed_sd"] == round(float(np.std(ours, ddof=1)), 2)
    assert "lucky" not in comparison.sentence


def test_a_baseline_of_which_some_seeds_were_stopped_has_no_rank(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, "baseline", 1, TrialState.FINISHED, {10: 0.3, 100: 0.8}),
        put(store, "baseline", 2, TrialState.STOPPED, {10: 0.3}),
    ]
    trials += [put(store, "whole", seed, TrialState.FINISHED, {10: 0.3, 100: 0.8}) for seed in (1, 2)]
    found = variants(compared(trials, store))
    assert (found["baseline"].rank, found["baseline"].status) == (None, "1 of 2 finished")
    assert (found["whole"].rank, found["whole"].equal_iterations) == (1, (100, 10))
    assert found["whole"].difference.value == 0.0


def test_one_seed_says_nothing_about_a_variant(tmp_path: Path) -> None:
    """The demo's own case: another seed alone would have made these verdicts."""
    store = Store(tmp_path)
    qualities = {"baseline": 0.3, "high": 0.95, "near": 0.3}
    trials = [put(store, label, 1, TrialState.FINISHED, {100: quality}) for label, quality in qualities.items()]
    comparison = compared(trials, store)
    found = variants(comparison)
    assert {one.difference.verdict for label, one in found.items() if label != "baseline"} == {UNKNOWN}
    assert (found["high"].difference.on_images, found["near"].difference.on_images) == (HIGHER, "")
    assert all(one.ties_with_best for one in comparison.variants)
    assert "this checkpoint scores higher on these images than baseline's: high (" in comparison.sentence
    assert "better" not in comparison.sentence
    assert comparison.seeds is None


def test_seeds_of_one_variant_speak_for_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [put(store, "baseline", seed, TrialState.FINISHED, {100: 0.3}) for seed in (1, 2, 3, 4)]
    trials.append(put(store, "high", 1, TrialState.FINISHED, {100: 0.95}))
    comparison = compared(trials, store)
    assert variants(comparison)["high"].difference.verdict == BETTER
    values = [evaluate(TRUTH["valid"], detect(TRUTH["valid"], seed, 0.3))[AP] or 0.0 for seed in (1, 2, 3, 4)]
    assert comparison.seeds is not None
    assert (comparison.seeds.trainings, comparison.seeds.variants) == (4, 1)
    assert comparison.seeds.freedom == pytest.approx(3)
    assert comparison.seeds.sd < np.std(values, ddof=1)  # the images' part is not the seeds'
    assert 0 <= variants(comparison)["high"].difference.seeds_share < 1


def test_what_did_not_end_on_purpose_gets_no_verdict(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [put(store, "baseline", seed, TrialState.FINISHED, {10: 0.3, 100: 0.4}) for seed in (1, 2, 3)]
    trials += [put(store, "cut", seed, TrialState.INTERRUPTED, {10: 0.9}) for seed in (1, 2, 3)]
    trials += [put(store, "early", seed, TrialState.STOPPED, {10: 0.9}) for seed in (1, 2, 3)]
    found = variants(compared(trials, store))
    assert (found["cut"].difference.verdict, found["early"].difference.verdict) == (UNFINISHED, BETTER)
    assert found["cut"].difference.value == pytest.approx(found["early"].difference.value)


def test_the_sentence_names_what_the_deployed_threshold_contradicts() -> None:
    """Many boxes of low score raise AP and are not shown: at the deployed threshold the detector has lost objects."""
    base = detect(TRUTH["valid"], 0, quality=0.3)
    shy = detect(TRUTH["valid"], 0, quality=1.0)
    faint = replace(shy, score=(shy.score * 0.45).astype(np.float32))
    comparison = compare_detectors(TRUTH["valid"], {"base": base, "shy": faint}, resamples=300)
    assert "scores higher than base on these images: shy (" in comparison.sentence
    assert "At the deployed score threshold AP says the opposite of shy (-" in comparison.sentence
    agreeing = compare_detectors(TRUTH["valid"], {"base": base, "bold": shy}, resamples=300)
    assert "the opposite" not in agreeing.sentence


def test_the_first_is_corrected_for_having_been_chosen() -> None:
    detectors = {f"d{seed}": detect(TRUTH["valid"], seed) for seed in range(6)}
    comparison = compare_detectors(TRUTH["valid"], detectors, resamples=300)
    first, second = comparison.variants[:2]
    assert first.corrected is not None
    assert first.corrected.value < first.estimate.value
    assert first.corrected.interval.low < first.estimate.interval.low
    assert second.corrected is None
    assert f"First is {first.label}: AP {first.estimate.value:.2f} as measured, " in comparison.sentence
    assert "for being the highest of 6" in comparison.sentence


def test_the_first_is_reported_on_test_where_there_is_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, label, s, TrialState.FINISHED, {100: q})
        for label, q in (("baseline", 0.4), ("b", 0.9))
        for s in (1, 2)
    ]
    comparison = compared(trials, store)
    assert f"First is b: AP on test {comparison.variants[0].test.value:.2f} (" in comparison.sentence


def test_classes_in_few_images_carry_no_verdict_and_are_named() -> None:
    """One object of a third class, which one detector has missed: 33 points of AP, and no verdict."""
    truth = TRUTH["valid"]
    extra = {"id": 41, "image_id": 1, "category_id": 3, "bbox": [500.0, 0.0, SIDE, SIDE], "area": SIDE**2, "iscrowd": 0}
    categories = [*truth.categories, {"id": 3, "name": "Moths"}, {"id": 4, "name": "Wasps"}]
    truth = replace(truth, annotations=[*truth.annotations, extra], categories=categories)
    blind = detect(TRUTH["valid"], 0)
    seen = Boxes(
        np.append(blind.image_id, 1),
        np.append(blind.category_id, 3),
        np.concatenate([blind.bbox_xywh, [[500.0, 0.0, SIDE, SIDE]]]).astype(np.float32),
        np.append(blind.score, 0.9).astype(np.float32),
    )
    comparison = compare_detectors(truth, {"seen": seen, "blind": blind}, resamples=400)
    told = variants(comparison)["blind"]
    assert told.difference.value == pytest.approx(-100 / 3, abs=1e-3)
    assert told.difference.verdict == INCONCLUSIVE
    assert told.few is not None
    assert (told.few.part, told.few.classes) == (pytest.approx(-100 / 3, abs=1e-3), {"Moths": 1})
    assert (comparison.missing, comparison.num_classes) == (("Wasps",), 4)
    assert comparison.sentence.startswith("By AP of 3 of 4 classes on 40 images")


def test_no_boxes_at_all_detect_nothing_from_0() -> None:
    nothing = detect(TRUTH["valid"], 0).where(np.zeros(len(detect(TRUTH["valid"], 0)), dtype=bool))
    comparison = compare_detectors(TRUTH["valid"], {"one": nothing, "two": nothing}, resamples=100)
    assert variants(comparison)["two"].difference.detectable is None
    assert "two (+0.00, no image tells them apart)" in comparison.sentence


def test_how_much_too_low_the_lowest_class_is() -> None:
    """Eight classes of five objects each, found equally well: the lowest is that by chance."""
    annotations = [{**a, "category_id": 1 + i % 8} for i, a in enumerate(TRUTH["valid"].annotations)]
    truth = GroundTruth(TRUTH["valid"].images, [{"id": i, "name": f"c{i}"} for i in range(1, 9)], annotations)
    boxes = {"a": detect(truth, 0), "b": detect(truth, 1)}
    comparison = compare_detectors(truth, boxes, "AP_worst", resamples=100)
    assert comparison.low_by is not None
    assert comparison.low_by > 0
    assert any("lowest of several" in line for line in remarks(comparison))
    assert compare_detectors(truth, boxes, resamples=100).low_by is None


def test_the_first_in_rank_is_compared_on_test(tmp_path: Path) -> None:
    store = Store(tmp_path)
    qualities = {"baseline": 0.4, "best": 0.95, "second": 0.8}
    trials = [
        put(store, label, seed, TrialState.FINISHED, {100: q}) for label, q in qualities.items() for seed in (1, 2)
    ]
    found = variants(compared(trials, store))
    told = found["best"].test_difference

    def ap(seed: int, quality: float) -> float:
        return evaluate(TRUTH["test"], detect(TRUTH["test"], seed, quality))[AP] or 0.0

    assert told.value == pytest.approx(np.mean([ap(seed, 0.95) - ap(seed, 0.4) for seed in (1, 2)]), abs=1e-5)
    assert found["best"].rank == 1
    assert [found[label].test_difference for label in ("baseline", "second")] == [None, None]
    trials = [put(store, "baseline", seed, TrialState.FINISHED, {100: 0.99}) for seed in (3, 4)]
    trials += [put(store, "second", seed, TrialState.FINISHED, {100: 0.3}) for seed in (3, 4)]
    assert all(one.test_difference is None for one in compared(trials, store).variants)


def test_the_gap_to_test_counts_the_seeds() -> None:
    """Gaps 3 and 9 without any image noise: 6, standard error 3, Student's t with one degree of freedom 12.706."""

    def made(value: float) -> Replicates:
        samples, halves = np.full((1, 20_000), value), np.full((1, 64), value)
        return Replicates(BASES[F1_DEPLOYED], np.array([value]), samples, halves, ("x",), 500, np.array([500]))

    shown = Drawn((1, 2), (100, 100), (made(50.0), made(54.0)), test=(made(47.0), made(45.0)))
    candidate = Candidate("a", TrialState.FINISHED, shown)
    [one] = compare_candidates([candidate], F1_DEPLOYED, "a", read_targets(TRUTH["valid"])).variants
    assert one.gap is not None
    assert one.gap.value == pytest.approx(6)
    assert one.gap.interval is not None
    assert one.gap.interval.high == pytest.approx(6 + 3 * 12.706, rel=0.03)


def test_factor_effects_come_with_intervals(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cells = {"baseline": 0.4, "a": 0.9, "b": 0.4, "a+b": 0.9}
    trials = [
        put(store, label, seed, TrialState.FINISHED, {100: quality}, a="on" if "a" in label.split("+") else "base",
            b="on" if "b" in label.split("+") else "base")
        for label, quality in cells.items() for seed in (1, 2)
    ]  # fmt: skip
    comparison = compared(trials, store)
    effects = {" x ".join(one.factors): one.difference for one in comparison.effects}
    assert list(effects) == ["a", "b", "a x b"]
    assert effects["a"].value > 10
    assert effects["a"].interval.low > 0
    assert effects["b"].value == pytest.approx(0.0, abs=1e-9)
    high, low = (
        np.mean([evaluate(TRUTH["valid"], detect(TRUTH["valid"], seed, quality))[AP] or 0.0 for seed in (1, 2)])
        for quality in (0.9, 0.4)
    )
    frame = pd.read_csv(io.StringIO(table_texts(comparison, [], "x")["effects.csv"]))
    assert frame["effect"].tolist() == ["main effect", "main effect", "interaction"]
    assert frame["factor"].tolist() == ["a", "b", "a x b"]
    assert frame["difference"].tolist() == [pytest.approx(high - low, abs=0.006), 0.0, 0.0]
    assert frame["verdict"].tolist() == ["better", "inconclusive", "inconclusive"]
    assert frame["difference_low"][0] == round(effects["a"].interval.low, 2)
    assert [one.ap_deployed for one in comparison.effects] == [None] * 3  # these evaluations have none


def test_replicates_are_computed_once_and_again_where_they_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    trials = [put(store, label, 1, TrialState.FINISHED, {100: 0.8}) for label in ("baseline", "other")]
    first = compared(trials, store)
    kept = sorted(tmp_path.glob("trials/*/replicates/*.npz"))
    assert len(kept) == 4

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(kept_replicates, "replicate", refuse)
        assert compared(trials, store) == first
    kept[0].write_bytes(b"PK damaged")
    assert compared(trials, store) == first


def test_a_difference_that_does_not_matter_stands_in_the_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path)
    qualities = {"baseline": 0.9, "near": 0.88}
    trials = [
        put(store, label, seed, TrialState.FINISHED, {100: qualities[label]}) for label in qualities for seed in (1, 2)
    ]
    comparison = compare_trials(trials, store, TRUTH, AP, "baseline", resamples=300, indifference=99.0)
    assert variants(comparison)["near"].difference.verdict == ALIKE
    assert "no difference that matters from baseline: near (" in comparison.sentence
