"""A batch that was copied to a device trains as the batch itself; on the CPU nothing is copied."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training import trainer as trainers
from agropest.training.input import device_copy
from agropest.training.input.batches import BatchStream
from agropest.training.input.device_copy import moved, on_device
from agropest.training.input.records import load_records
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config

CPU = torch.device("cpu")


def trained(sweep: Path, dataset: Dataset, iterations: int) -> list[torch.Tensor]:
    trial = expand_trials(load_sweep(sweep), dataset.fingerprint, dataset.class_names)[0]
    cfg = detectron2_config(trial, "cpu")
    trainer = TrialTrainer(cfg, "cpu")
    trainer.batches = BatchStream(load_records("train", *dataset.paths["train"]).dicts, cfg, 1).iterate(0, 0)
    trainer.register_hooks([])
    trainer.train(0, iterations)
    return [parameter.detach().clone() for parameter in trainer.model.parameters()]


def test_on_the_cpu_a_batch_stays_what_it_is() -> None:
    batch = [{"image": torch.zeros(3, 4, 4)}]
    assert on_device(batch, CPU) is batch


def test_a_copied_batch_trains_to_the_same_weights(
    tiny_sweep: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trained(tiny_sweep, tiny_dataset, 3)
    copied: list[int] = []

    def copy_all(batch: device_copy.Batch, device: torch.device) -> device_copy.Batch:
        found = moved(batch, device)
        for before, after in zip(batch, found, strict=True):
            assert before.keys() == after.keys()
            assert after["instances"] is not before["instances"]
            assert torch.equal(before["instances"].gt_boxes.tensor, after["instances"].gt_boxes.tensor)
            assert torch.equal(before["instances"].gt_classes, after["instances"].gt_classes)
            assert before["instances"].image_size == after["instances"].image_size
        copied.append(len(found))
        return found

    monkeypatch.setattr(trainers, "on_device", copy_all)
    again = trained(tiny_sweep, tiny_dataset, 3)
    assert copied == [2, 2, 2]
    assert all(torch.equal(one, two) for one, two in zip(plain, again, strict=True))


def test_without_pinned_memory_it_copies_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory\nCompile with ...")

    monkeypatch.setattr(torch.Tensor, "pin_memory", refuse)
    tensor = torch.ones(2)
    for _ in range(2):
        assert device_copy._pinned(tensor, torch.device("cuda")) is tensor
    assert caplog.messages == [
        "no pinned memory for batches, so every copy to the card is waited for: CUDA error: out of memory"
    ]
