"""The event files are read back with TensorBoard's own reader, and the HParams page is asked for what it would show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agropest import files
from agropest.report.tensorboard import _masked_crc, write_tensorboard
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec, differing_keys


def make(store: Store, label: str, rate: float, sizes: list[list[int]], status: str, *scores: float) -> TrialSpec:
    config = {"SOLVER.BASE_LR": rate, "MODEL.ANCHOR_GENERATOR.SIZES": sizes, "SOLVER.MAX_ITER": 20, "SEED": 7}
    trial = TrialSpec(label, 7, config, "d")
    folder = store.folder(trial).claim()
    for number, score in enumerate(scores, start=1):
        for split in ("valid", *(["test"] if number == len(scores) and status == TrialState.FINISHED else [])):
            record = EvaluationRecord(split, 10 * number, {"AP": score, "APs": None}, 1, 1, 0.1)
            folder.write_evaluation(record, lambda path: files.write_bytes(path, b"boxes"))
    folder.write_status(Status(status, 10 * len(scores)))
    return trial


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    trials = [
        make(store, "baseline", 0.01, [[8], [16]], TrialState.FINISHED, 20.0, 30.5),
        make(store, "anchors", 0.01, [[8, 12], [16, 24]], TrialState.RUNNING, 25.0),
        make(store, "unseen", 0.02, [[8], [16]], TrialState.RUNNING),
    ]
    assert differing_keys(trials) == ["MODEL.ANCHOR_GENERATOR.SIZES", "SOLVER.BASE_LR"]
    folder = store.sweep_folder("s") / "tensorboard"
    write_tensorboard(trials, store, folder, "AP")
    return folder


def test_scalars_come_back_as_they_were(sweep: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert sorted(path.name for path in sweep.iterdir()) == ["anchors-s7", "baseline-s7"]
    events = EventAccumulator(str(sweep / "baseline-s7"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["test/AP", "valid/AP"]
    assert [(event.step, event.value) for event in events.Scalars("valid/AP")] == [(10, 20.0), (20, 30.5)]
    assert [(event.step, event.value) for event in events.Scalars("test/AP")] == [(20, 30.5)]


def hparams_page(folder: Path) -> dict[str, Any]:
    """Returns what the HParams page lists: session group name to (hyperparameters, metrics, status)."""
    from google.protobuf import json_format
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()

    class TheContext:
        data_provider = MultiplexerDataProvider(multiplexer, str(folder))

    context = backend_context.Context(TheContext())
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=10, allowed_statuses=[0, 1, 2, 3])
    here = RequestContext()
    tags = context.hparams_metadata(here, "")
    experiment = context.experiment_from_metadata(
        here, "", True, tags, context.hparams_from_data_provider(here, "", 100)
    )
    names = [metric.name for metric in experiment.metric_infos]
    for name in names:
        column = request.col_params.add()
        column.metric.CopyFrom(name)
    handler = list_session_groups.Handler(here, context, "", request)
    groups = json_format.MessageToDict(handler.run()).get("sessionGroups", [])
    return {
        group["name"]: (
            group["hparams"],
            {value["name"]["tag"]: value["value"] for value in group.get("metricValues", [])},
            group["sessions"][0]["status"],
        )
        for group in groups
    }


def test_the_hparams_page_compares_the_sweep(sweep: Path) -> None:
    page = hparams_page(sweep)
    assert set(page) == {"baseline/s7", "anchors/s7"}
    hparams, metrics, status = page["anchors/s7"]
    assert hparams == {
        "label": "anchors",
        "seed": 7,
        "MODEL.ANCHOR_GENERATOR.SIZES": "[[8, 12], [16, 24]]",
        "SOLVER.BASE_LR": 0.01,
    }
    assert metrics == {"valid/AP": 25.0}
    assert status == "STATUS_RUNNING"
    assert page["baseline/s7"][1:] == ({"valid/AP": 30.5, "test/AP": 30.5}, "STATUS_SUCCESS")


def test_the_checksum_is_crc_32c() -> None:
    # RFC 3720, B.4: the CRC of 32 zero bytes is 0x8a9136aa; TFRecord rotates it by 15 and adds 0xa282ead8
    crc = 0x8A9136AA
    assert _masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_variant_that_was_taken_out_leaves_the_page(tmp_path: Path) -> None:
    store = Store(tmp_path)
    stays = make(store, "baseline", 0.01, [[8], [16]], TrialState.RUNNING, 20.0)
    out = make(store, "anchors", 0.01, [[8, 12], [16, 24]], TrialState.RUNNING, 25.0)
    folder = tmp_path / "s" / "tensorboard"
    write_tensorboard([stays, out], store, folder, "AP")
    files.write_text(folder / "notes" / "mine.txt", "kept")
    write_tensorboard([stays], store, folder, "AP")
    assert sorted(path.name for path in folder.iterdir()) == ["baseline-s7", "notes"]
    assert list(hparams_page(folder)) == ["baseline/s7"]
