"""Batches that go through pipes where there is too little shared memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.input import handover
from agropest.training.input.batches import BatchStream
from agropest.training.input.records import load_records
from agropest.training.trial import detectron2_config


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda place: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))


def test_room_is_twice_what_the_workers_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    # A batch of 4 pictures of 800 x 1333, 3 bytes a pixel: 12.8 MB; 2 workers hold 8 of them.
    assert handover.needed_bytes(4, (800, 1333), 2) == 102_374_400
    with_free(monkeypatch, 64 * 2**20)  # what a container has
    assert not handover.has_room(4, (800, 1333), 2)
    assert handover.has_room(4, (160, 160), 2)
    with_free(monkeypatch, 2**30)
    assert handover.has_room(4, (800, 1333), 2)


def test_a_system_without_such_a_place_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "PLACE", tmp_path / "none")
    assert handover.free_bytes(tmp_path / "none") is None


def test_a_launch_says_which_variants_are_short_of_it(
    tiny_sweep: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(tiny_sweep, ("resources.loader_workers=1",))
    trials = expand_trials(sweep, tiny_dataset.fingerprint, tiny_dataset.class_names)
    with_free(monkeypatch, 2**30)
    assert handover.remark(trials) == ""
    with_free(monkeypatch, 2**13)
    assert "/dev/shm has 0 MiB free" in handover.remark(trials) and "baseline" in handover.remark(trials)
    assert handover.remark([replace(t, resources=replace(t.resources, loader_workers=0)) for t in trials]) == ""


def test_batches_are_the_same_through_pipes(
    tiny_sweep: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trial = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)[0]
    records = load_records("train", *tiny_dataset.paths["train"]).dicts
    stream = BatchStream(records, detectron2_config(trial, "cpu"), trial.seed)
    expected = [stream.batch(n) for n in range(4)]
    monkeypatch.setattr(handover, "has_room", lambda *_: False)
    batches = stream.iterate(0, 2)
    found = [next(batches) for _ in range(4)]
    batches.close()  # type: ignore[attr-defined]
    assert "through pipes" in caplog.text
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert is_equal(one, other)


def is_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    boxes, others = one["instances"].gt_boxes.tensor, other["instances"].gt_boxes.tensor
    same = torch.equal(one["image"], other["image"]) and torch.equal(boxes, others)
    return same and one["image_id"] == other["image_id"]
