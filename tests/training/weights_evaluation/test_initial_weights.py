"""``SOLVER.MAX_ITER: 0``: a checkpoint from elsewhere is a trial of its own, which trains nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import SweepFileError
from agropest.store.completeness import is_done
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import Sharing, all_sharing
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.tree import stage_tree
from agropest.training import checkpoints
from tests.training.test_shared_training import require_same_evaluations
from tests.training.test_trial import require_equal, trial_of, weights
from tests.training.weights_evaluation.test_evaluation_trial import run_one


def test_weights_from_elsewhere_are_evaluated_and_evaluated_otherwise(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trained = trial_of(tiny_sweep, tiny_dataset, "baseline", "SOLVER.MAX_ITER=2")
    _, elsewhere = run_one(trained, tiny_dataset, Store(tmp_path / "elsewhere"), Sharing())
    given = elsewhere.checkpoints / "00000002.pth"
    tiny_sweep.write_text(
        tiny_sweep.read_text().replace("focal:", f"given: {{SOLVER.MAX_ITER: 0, MODEL.WEIGHTS: {given}}}\n  focal:")
        + "evaluate: {few: {of: given, TEST.DETECTIONS_PER_IMAGE: 1}}\n"
    )
    spec = load_sweep(tiny_sweep, ["seeds=[1, 2]"])
    planned = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    by_name = {trial.name: trial for trial in planned}
    assert by_name.keys() == {"baseline/s1", "baseline/s2", "given/s1", "focal/s1", "focal/s2", "given+few/s1"}
    assert stage_tree(planned).num_iters == 4 * 4
    assert not by_name["given/s1"].trains

    store = Store(tmp_path / "r")
    sharing = all_sharing(planned, store)
    status, folder = run_one(by_name["given/s1"], tiny_dataset, store, sharing["given/s1"])
    assert (status.status, status.iteration) == (TrialState.FINISHED, 0)
    identity = by_name["given/s1"].weights
    assert identity.startswith("sha256:")
    assert status.notes == (f"evaluates MODEL.WEIGHTS as they are ({identity}); nothing was trained",)
    assert is_done(by_name["given/s1"], store, "AP", tiny_dataset.splits, "")
    require_equal(weights(folder, 0), weights(elsewhere, 2))
    for split in ("valid", "test"):
        (record,) = folder.read_evaluations(split)
        theirs = next((one for one in elsewhere.read_evaluations(split) if one.iteration == 2), None)
        assert theirs is not None
        assert (record.iteration, record.metrics) == (0, theirs.metrics)
        assert folder.boxes_path(record).read_bytes() == elsewhere.boxes_path(theirs).read_bytes()
    status, few = run_one(by_name["given+few/s1"], tiny_dataset, store, sharing["given+few/s1"])
    assert status.status is TrialState.FINISHED
    assert [record.num_boxes for record in few.read_evaluations("valid")] == [6]
    assert set(checkpoints.iterations(few.checkpoints)) == {0}
    _, again = run_one(by_name["given/s1"], tiny_dataset, store, sharing["given/s1"])
    require_same_evaluations(folder, again)


def test_weights_that_leave_a_layer_random_are_not_evaluated(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trained = trial_of(tiny_sweep, tiny_dataset, "baseline", "SOLVER.MAX_ITER=2")
    _, elsewhere = run_one(trained, tiny_dataset, Store(tmp_path / "elsewhere"), Sharing())
    words = ["SOLVER.MAX_ITER=0", f"MODEL.WEIGHTS={elsewhere.checkpoints / '00000002.pth'}"]
    other = trial_of(tiny_sweep, tiny_dataset, "baseline", *words, "MODEL.ROI_BOX_HEAD.FC_DIM=48")
    status, folder = run_one(other, tiny_dataset, Store(tmp_path / "r"), Sharing())
    assert status.status is TrialState.FAILED
    assert "MODEL.WEIGHTS: expected weights for every layer, because SOLVER.MAX_ITER is 0" in status.reason
    assert "roi_heads.box_predictor.cls_score" in status.reason
    assert not folder.read_evaluations("valid")


def test_what_cannot_be_evaluated_without_training_is_refused(tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    with pytest.raises(SweepFileError) as caught:
        trial_of(tiny_sweep, tiny_dataset, "baseline", "SOLVER.MAX_ITER=0", "SOLVER.EMA.ENABLED=true")
    told = str(caught.value)
    assert "MODEL.WEIGHTS: expected weights to evaluate with SOLVER.MAX_ITER 0" in told
    assert "SOLVER.EMA.ENABLED: expected false with SOLVER.MAX_ITER 0" in told
    with pytest.raises(SweepFileError, match=r"SOLVER\.MAX_ITER: expected 0"):
        trial_of(tiny_sweep, tiny_dataset, "baseline", "SOLVER.MAX_ITER=-1")
