"""Two processes with gloo train one trial: the same batches in parts, one set of weights, metrics at the end."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from agropest import exit_codes
from agropest.data.dataset import Dataset
from agropest.errors import TrialError
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.input.batches import BatchStream
from agropest.training.input.records import load_records
from agropest.training.processes import distributed
from agropest.training.processes.distributed import require_equal_parts
from agropest.training.run_context import RunContext
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config, run_trial

# Every anchor and proposal is sampled, so that chance has no part in the comparison.
ALL_SAMPLED = (
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE=100000",
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE=100000",
    "MODEL.RPN.POSITIVE_FRACTION=1.0",
    "MODEL.ROI_HEADS.POSITIVE_FRACTION=1.0",
)


@pytest.fixture
def trial(tiny_sweep: Path, tiny_dataset: Dataset) -> TrialSpec:
    spec = load_sweep(tiny_sweep, ALL_SAMPLED)
    return expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)[0]


def run(trial: TrialSpec, dataset: Dataset, results: Path, num_processes: int) -> TrialFolder:
    folder = Store(results).folder(trial).claim()
    context = RunContext(dataset.paths, num_processes=num_processes, loader_workers=num_processes - 1)
    assert run_trial(trial, folder, context, lambda record: None).status == TrialState.FINISHED
    return folder


def weights(folder: TrialFolder) -> dict[str, torch.Tensor]:
    content = checkpoints.load(folder.checkpoints, 4)
    assert content is not None
    found: dict[str, torch.Tensor] = content["model"]
    return found


def test_two_processes_reach_what_one_reaches(trial: TrialSpec, tiny_dataset: Dataset, tmp_path: Path) -> None:
    one, two = (run(trial, tiny_dataset, tmp_path / str(number), number) for number in (1, 2))
    assert [r.iteration for r in two.read_evaluations()] == [2, 4]
    assert [r.split for r in two.read_evaluations("test")] == ["test"]
    start = TrialTrainer(detectron2_config(trial, "cpu"), "cpu").model.state_dict()
    names = [name for name, tensor in start.items() if tensor.is_floating_point()]
    first, alone, together = (
        torch.cat([content[name].double().flatten() for name in names])
        for content in (start, weights(one), weights(two))
    )
    # Not equal: a mean of two means over unequal numbers of proposals, and sums in another order.
    assert 0 < (together - alone).norm() < 0.2 * (alone - first).norm()


def test_a_follower_that_is_lost_is_no_fault_of_the_trial(
    trial: TrialSpec, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followers: list[BaseProcess] = []

    class Watch(distributed._Watch):
        def __init__(self, started: list[tuple[BaseProcess, Connection]]) -> None:
            followers.extend(process for process, _ in started)
            super().__init__(started)

    monkeypatch.setattr(distributed, "_Watch", Watch)
    folder = Store(tmp_path).folder(trial).claim()
    with pytest.raises(ChildProcessError, match="exit code -9"):
        run_trial(trial, folder, RunContext(tiny_dataset.paths, num_processes=2), lambda _: followers[0].kill())


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (None, exit_codes.LOST),
        (distributed._Lost.of(torch.OutOfMemoryError("64 GiB")), exit_codes.OUT_OF_GPU_MEMORY),
        (distributed._Lost.of(TrialError("iteration 3: expected finite losses")), exit_codes.FAILED),
    ],
)
def test_where_no_exception_reaches_the_training_its_process_ends(
    told: object, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NCCL waits for ever for a rank that is gone."""
    codes: list[int] = []
    ended = threading.Event()
    monkeypatch.setattr(distributed, "NOTICE_S", 0.1)
    monkeypatch.setattr(os, "_exit", lambda number: (codes.append(number), ended.set()))
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=time.sleep, args=(600,))
    process.start()
    distributed._Watch([(process, ours)])
    if told is not None:
        theirs.send(told)
    else:
        process.kill()
    assert ended.wait(60)
    process.kill()
    assert codes == [code]


def test_followers_that_end_with_the_training_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "_exit", lambda _: pytest.fail("nobody was lost"))
    context = multiprocessing.get_context("forkserver")
    ours, _ = context.Pipe()
    process = context.Process(target=time.sleep, args=(600,))
    process.start()
    watch = distributed._Watch([(process, ours)])
    watch.end()
    process.kill()
    assert watch.lost(0.2) is None


def test_the_parts_are_the_batch(trial: TrialSpec, tiny_dataset: Dataset) -> None:
    cfg = detectron2_config(trial, "cpu")
    records = load_records("train", *tiny_dataset.paths["train"]).dicts
    whole = BatchStream(records, cfg, 1)
    parts = [BatchStream(records, cfg, 1, part=(rank, 2)) for rank in (0, 1)]
    for n in range(5):
        together = [item for part in parts for item in part.batch(n)]
        assert [item["image_id"] for item in together] == [item["image_id"] for item in whole.batch(n)]
        for ours, theirs in zip(together, whole.batch(n), strict=True):
            assert ours["image"].equal(theirs["image"])


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    require_equal_parts(4, 2)
    with pytest.raises(TrialError, match=r"SOLVER\.IMS_PER_BATCH: expected a multiple of the 3 processes"):
        require_equal_parts(4, 3)
