"""Calibration, curves, confusion and TIDE on boxes small enough to be worked by hand, and against the metrics."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.accuracy.average_precision import evaluate
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import match, read_targets
from agropest.statistics.diagnosis.box_summary import summarize_boxes
from agropest.statistics.diagnosis.calibration import calibration
from agropest.statistics.diagnosis.confusion import confusion_matrix
from agropest.statistics.diagnosis.curves import ap_by_threshold, class_precision_recall, precision_recall
from agropest.statistics.diagnosis.error_types import ERROR_TYPES, error_types

ANT, BEE, NONE = 1, 2, 3


def truth(*annotations: tuple[int, int, list[float]], images: int = 2, crowd: bool = False) -> GroundTruth:
    """Annotations (image, category, bbox) of classes ant, bee and one that never occurs."""
    rows = [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": bbox,
            "area": bbox[2] * bbox[3],
            "iscrowd": int(crowd),
        }
        for number, (image, category, bbox) in enumerate(annotations, start=1)
    ]
    names = ((ANT, "ant"), (BEE, "bee"), (NONE, "none"))
    return GroundTruth(
        [{"id": number, "file_name": f"{number}.jpg"} for number in range(1, images + 1)],
        [{"id": key, "name": name} for key, name in names],
        rows,
    )


def found(*boxes: tuple[int, int, list[float], float]) -> Boxes:
    image, category, bbox, score = zip(*boxes, strict=True) if boxes else ((), (), (), ())
    return Boxes(
        np.array(image, dtype=np.int64),
        np.array(category, dtype=np.int64),
        np.array(bbox, dtype=np.float32).reshape(-1, 4),
        np.array(score, dtype=np.float32),
    )


TRUTH = truth(
    (1, ANT, [0, 0, 10, 10]), (1, BEE, [50, 50, 10, 10]), (2, BEE, [80, 0, 10, 10]), (2, ANT, [0, 80, 10, 10])
)
# One box of every kind: right, duplicate, another class, badly placed, both, on nothing; one annotation is missed.
FOUND = found(
    (1, ANT, [0, 0, 10, 10], 0.9),
    (1, ANT, [0, 1, 10, 10], 0.8),
    (1, ANT, [50, 50, 10, 10], 0.7),
    (2, BEE, [84, 0, 10, 10], 0.65),
    (1, BEE, [4, 0, 10, 10], 0.6),
    (2, ANT, [30, 30, 10, 10], 0.25),
)


def test_a_box_of_every_kind_is_recognised() -> None:
    told = error_types(TRUTH, FOUND)
    assert told.counts == {"Cls": 1, "Loc": 1, "Both": 1, "Dupe": 1, "Bkg": 1, "Miss": 1}
    # ant: 1 of 2 found first: precision 1 at the 51 recall points up to 0.5; bee: none; the third class does not count.
    assert told.ap50 == pytest.approx(100 * 51 / 101 / 2)
    # Cls: ant loses a false box, which changes nothing, bee gains one right box of two; Miss: ant has one annotation.
    assert told.delta_ap["Miss"] == pytest.approx(100 * 50 / 101 / 2)
    assert told.delta_ap["Loc"] > 0
    assert told.delta_ap["Dupe"] == pytest.approx(0)


def test_without_boxes_everything_is_missed_and_without_truth_everything_is_background() -> None:
    assert error_types(TRUTH, found()).counts == dict.fromkeys(ERROR_TYPES, 0) | {"Miss": 4}
    nothing = error_types(truth(), FOUND)
    assert nothing.counts["Bkg"] == 6
    assert nothing.ap50 is None


def test_confusion_is_counted_at_the_threshold_and_background_comes_last() -> None:
    matrix = confusion_matrix(TRUTH, FOUND, 0.7)
    assert matrix.counts.tolist() == [
        [1, 0, 0, 1],  # ant: found, and one missed
        [1, 0, 0, 1],  # bee: one taken for an ant, one missed
        [0, 0, 0, 0],
        [1, 0, 0, 0],  # the duplicate stands on nothing that is free
    ]
    nothing = confusion_matrix(TRUTH, FOUND, 0.95)
    assert nothing.counts[:, -1].tolist() == [2, 2, 0, 0]
    assert nothing.counts.sum() == 4


def test_a_score_at_the_threshold_counts() -> None:
    assert confusion_matrix(TRUTH, found((1, ANT, [0, 0, 10, 10], 0.7)), 0.7).counts[0, 0] == 1


def test_calibration_by_hand() -> None:
    matches = match(read_targets(TRUTH), FOUND)
    told = calibration(matches)
    # Bins: 0.9 (right), 0.8 (wrong), 0.7 (wrong), 0.65 and 0.6 (wrong), 0.25 (wrong).
    assert told.ece == pytest.approx((0.1 + 0.8 + 0.7 + 0.65 + 0.6 + 0.25) / 6, abs=1e-6)
    assert [one.num_boxes for one in told.bins] == [0, 0, 1, 0, 0, 0, 2, 1, 1, 1]
    assert told.bins[6].mean_score == pytest.approx(0.625)
    assert (told.bins[0].mean_score, told.bins[9].precision) == (None, 1.0)
    assert calibration(match(read_targets(TRUTH), found())).ece is None


def test_boxes_on_a_crowd_are_neither_right_nor_wrong() -> None:
    crowd = truth((1, ANT, [0, 0, 100, 100]), crowd=True)
    told = calibration(match(read_targets(crowd), found((1, ANT, [0, 0, 10, 10], 0.9))))
    assert sum(one.num_boxes for one in told.bins) == 0


def random_case(seed: int) -> tuple[GroundTruth, Boxes]:
    random = np.random.default_rng(seed)
    annotations, boxes = [], []
    for image in range(1, 41):
        for _ in range(random.integers(0, 4)):
            corner, size = random.uniform(0, 400, 2), random.uniform(20, 200, 2)
            category = int(random.integers(1, 3))
            annotations.append((image, category, [float(v) for v in (*corner, *size)]))
            for _ in range(random.integers(0, 3)):
                moved = [float(v) for v in (*corner + random.normal(0, 8, 2), *size + random.normal(0, 8, 2))]
                boxes.append((image, int(random.choice([category, 1])), moved, float(random.random())))
    return truth(*annotations, images=40), found(*boxes)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_a_curve_is_the_metric(seed: int) -> None:
    reference, boxes = random_case(seed)
    metrics = evaluate(reference, boxes)
    matches = match(read_targets(reference), boxes)
    assert 100 * precision_recall(matches, 0.5).mean() == pytest.approx(metrics["AP50"], abs=1e-9)
    assert 100 * precision_recall(matches, 0.75).mean() == pytest.approx(metrics["AP75"], abs=1e-9)
    assert np.isnan(class_precision_recall(matches)[2]).all()
    for threshold, value in zip((0.0, 0.3, 0.7), ap_by_threshold(matches, (0.0, 0.3, 0.7)), strict=True):
        assert value == pytest.approx(evaluate(reference, boxes.at_threshold(threshold))["AP"], abs=1e-9)


def test_curves_without_boxes_or_truth() -> None:
    assert precision_recall(match(read_targets(TRUTH), found())).tolist() == [0.0] * 101
    assert np.isnan(precision_recall(match(read_targets(truth()), found()))).all()
    assert ap_by_threshold(match(read_targets(truth()), found()), (0.5,)) == [None]


def test_boxes_alone_are_counted() -> None:
    told = summarize_boxes(FOUND, TRUTH.class_names)
    assert (told.num_boxes, told.num_images, told.num_confident) == (6, 2, 1)  # 0.8 is not above 0.8
    assert told.share_confident == pytest.approx(1 / 6)
    assert told.by_class == {ANT: 4, BEE: 2, NONE: 0}
    assert told.histogram == (0, 0, 1, 0, 0, 0, 2, 1, 1, 1)
    assert summarize_boxes(found()).share_confident is None
