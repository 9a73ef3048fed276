"""A sweep of four small models, each trained for a moment: what a stock Detectron2 builds, and what it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agropest.analysis.models.model_choice import ChosenModel, ModelAddress, choose_model
from agropest.analysis.sweep_comparison import compare_record
from agropest.data.dataset import Dataset
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord, describe_sweep, write_sweep_record
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.run_context import RunContext
from agropest.training.trial import run_trial
from tests.conftest import TINY

VARIANTS = """
variants:
  narrow: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}
  stock:
    MODEL.BACKBONE.NAME: build_resnet_fpn_backbone
    MODEL.RESNETS: {DEPTH: 18, RES2_OUT_CHANNELS: 64, OUT_FEATURES: [res2, res3, res4, res5]}
    MODEL.FPN.IN_FEATURES: [res2, res3, res4, res5]
  sigmoid: {MODEL.ROI_BOX_HEAD.CLS_LOSS: sigmoid_focal, MODEL.ROI_BOX_HEAD.PRIOR_PROB: 0.3}
  averaged: {SOLVER.EMA.ENABLED: true, SOLVER.EMA.DECAY: 0.5}
"""


@dataclass(frozen=True)
class Trained:
    """A sweep whose trials have finished."""

    folder: Path
    store: Store
    record: SweepRecord
    dataset: Dataset

    def choose(self, variant: str | None = None, seed: int | None = None) -> ChosenModel:
        comparison = compare_record(self.record, self.store)
        return choose_model(self.record, self.store, comparison, ModelAddress(self.folder, variant, seed))


@pytest.fixture(scope="session")
def trained(tiny_folder: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The sweep, trained once for all tests; not to be changed."""
    root = tmp_path_factory.mktemp("deployment")
    path = root / "winner.yaml"
    path.write_text(f"{TINY}\nquestion: Which?\nbaseline: narrow\ndata: {tiny_folder}\nseeds: [1]\n{VARIANTS}")
    spec = load_sweep(path)
    trials = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    store = Store(root / "results")
    splits = {name: (split.annotations, split.image_root) for name, split in tiny_dataset.splits.items()}
    for trial in trials:
        run_trial(trial, store.folder(trial).claim(), RunContext(splits), lambda record: None)
    record = describe_sweep(spec, trials, tiny_dataset)
    folder = write_sweep_record(record, store).parent
    return Trained(folder, store, record, tiny_dataset)
