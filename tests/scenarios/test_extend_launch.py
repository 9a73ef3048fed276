"""``extend:`` through Ray: a longer training continues from what is stored, and ends as one of that length does."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest import command_line
from agropest.data.dataset import Dataset
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import TAKEN_FROM
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training import checkpoints
from tests.training.test_segments import same_state
from tests.training.test_shared_training import require_same_evaluations
from tests.training.test_trial import run

SCHEDULE = "LR_SCHEDULER_NAME: WarmupMultiStepLR, STEPS: [3]"


def test_a_finished_variant_is_trained_longer_and_only_what_is_new_is_trained(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tiny_sweep.read_text().partition("  focal:")[0]
    # A cosine depends on its length; of these rates the first four are those of any longer schedule.
    tiny_sweep.write_text(text.replace("MAX_ITER: 4,", f"MAX_ITER: 4, {SCHEDULE},") + "stop: none\n")
    command = [str(tiny_sweep), "--results", str(tmp_path / "r"), "--set", "resources.cpus=1"]
    assert command_line.main(["launch", *command]) == 0, capsys.readouterr()
    tiny_sweep.write_text(tiny_sweep.read_text() + "extend: 6\n")
    capsys.readouterr()
    assert command_line.main(["plan", *command]) == 0
    told = capsys.readouterr().out
    assert "baseline-to-6/s1: continues from baseline/s1, whose 4 iterations are stored" in told
    assert "2 trials: 1 done, 1 new" in told

    # No more may be trained than the two iterations that are new.
    assert command_line.main(["launch", *command, "--set", "budget.max_iterations=2"]) == 0, capsys.readouterr()
    trials = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)
    longer = next(trial for trial in trials if trial.label == "baseline-to-6")
    folder = Store(tmp_path / "r").folder(longer)
    assert (folder.status().status, folder.status().iteration) == (TrialState.FINISHED, 6)
    records = folder.read_evaluations("valid")
    assert [(one.iteration, one.extra.get(TAKEN_FROM)) for one in records] == [
        (2, "baseline/s1"),
        (4, "baseline/s1"),
        (6, None),
    ]

    # Bit for bit what a training of six iterations from the start comes to.
    _, alone = run(longer, tiny_dataset, tmp_path / "alone")
    require_same_evaluations(folder, alone)
    ends = [checkpoints.load(one.checkpoints, 6) for one in (folder, alone)]
    assert ends[0] is not None
    same_state(*ends)
