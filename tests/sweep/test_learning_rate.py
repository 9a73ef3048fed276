from __future__ import annotations

import pytest

from agropest.sweep.learning_rate import curve_key, decay_to_come, start_key

STUDY = {
    "SOLVER.MAX_ITER": 25000,
    "SOLVER.STEPS": [15000, 20000],
    "SOLVER.GAMMA": 0.1,
    "SOLVER.LR_SCHEDULER_NAME": "WarmupMultiStepLR",
}


def test_what_is_left_of_a_step_schedule() -> None:
    # The learning rate is 1, 0.1, 0.01 of its peak: of the fall of 0.99 there are 0.99, 0.09 and 0 to come.
    left = [decay_to_come(STUDY, t) for t in (2500, 15000, 15001, 20000, 20001, 25000)]
    assert left == pytest.approx([1.0, 1.0, 0.09 / 0.99, 0.09 / 0.99, 0.0, 0.0])


def test_a_cosine_falls_all_the_way_and_no_decay_counts_iterations() -> None:
    cosine = {**STUDY, "SOLVER.LR_SCHEDULER_NAME": "WarmupCosineLR"}
    assert [decay_to_come(cosine, t) for t in (0, 12500, 25000)] == pytest.approx([1.0, 0.5, 0.0])
    constant = {**STUDY, "SOLVER.STEPS": [30000]}
    assert [decay_to_come(constant, t) for t in (0, 5000, 25000)] == pytest.approx([1.0, 0.8, 0.0])


def test_the_shape_of_a_curve_is_the_schedules_not_the_losses() -> None:
    base = {**STUDY, "MODEL.ROI_BOX_HEAD.CLS_LOSS": "cross_entropy", "INPUT.MIN_SIZE_TEST": 800}
    loss = {**base, "MODEL.ROI_BOX_HEAD.CLS_LOSS": "softmax_focal", "INPUT.MIN_SIZE_TEST": 704}
    assert curve_key(base) == curve_key(loss)
    assert curve_key(base) != curve_key({**base, "SOLVER.GAMMA": 0.2})


@pytest.mark.parametrize(
    ("key", "value", "is_another"),
    [
        ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "softmax_focal", True),
        ("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou", True),
        ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads", True),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[8, 16]] * 5, True),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[16]] * 5, False),  # as many of other sizes: COCO's head fits
        ("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler", False),
        ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.5, False),
    ],
)
def test_who_begins_further_behind(key: str, value: object, is_another: bool) -> None:
    anchors = {"MODEL.ANCHOR_GENERATOR.SIZES": [[8]] * 5, "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]]}
    assert (start_key({**anchors, key: value}) != start_key(anchors)) is is_another
