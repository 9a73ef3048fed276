"""One TensorBoard run for every trial of a sweep: its hyperparameters and what it reached, for the HParams page.

    tensorboard --logdir results/demo/tensorboard

The event files are written here byte by byte: the driver has no other reason to load tensorboardX, which imports
torch (2.4 s). They hold protocol buffers in TensorFlow's record format; field numbers are those of tensorboard's
``compat/proto/event.proto``, ``summary.proto`` and ``plugins/hparams/{api,plugin_data,hparams_summary}.proto``.

Losses and learning rates are in the trials' own folders, which can be given to TensorBoard as well.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agropest import files
from agropest.store.records import EvaluationRecord, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec, differing_keys

# One name a trial: what is written again replaces what was there.
EVENTS_FILE = "events.out.tfevents.0.agropest"
# Status of the HParams plugin: 1 success, 2 failure, 3 running, 0 unknown.
SESSION_STATUS = {TrialState.FINISHED: 1, TrialState.STOPPED: 1, TrialState.FAILED: 2, TrialState.RUNNING: 3}


def write_tensorboard(trials: Sequence[TrialSpec], store: Store, folder: Path, metric: str) -> None:
    """Writes ``<folder>/<label>-s<seed>/events.*`` for every trial that has been evaluated; others are left out.

    Runs of trials that the sweep no longer has are removed: they would stay on the HParams page.

    Args:
        trials: of the sweep.
        folder: ``results/<sweep>/tensorboard``.
        metric: of the sweep; the HParams page compares it and its value on the test split.
    """
    keys = differing_keys(trials)
    written = set()
    for trial in trials:
        trial_folder = store.folder(trial)
        valid, test = trial_folder.read_evaluations("valid"), trial_folder.read_evaluations("test")
        if not valid:
            continue
        hparams = {"label": trial.label, "seed": trial.seed, **{key: trial.config.get(key) for key in keys}}
        names = [f"valid/{metric}", f"test/{metric}"]  # always both: the page takes its columns from any one run
        events = [
            _event(0, version=True),
            _event(0, _hparams("_hparams_/experiment", 2, _experiment(hparams, names))),
            _event(0, _hparams("_hparams_/session_start_info", 3, _session_start(hparams, trial.name))),
            *(_event(record.iteration, _scalars(record)) for record in (*valid, *test)),
            _event(
                valid[-1].iteration,
                _hparams(
                    "_hparams_/session_end_info",
                    4,
                    _number(1, SESSION_STATUS.get(trial_folder.status().status, 0)),
                ),
            ),
        ]
        path = folder / trial.name.replace("/", "-") / EVENTS_FILE
        written.add(path)
        content = b"".join(_record(event) for event in events)
        if not path.is_file() or path.read_bytes() != content:
            files.write_bytes(path, content)
    for path in set(folder.glob(f"*/{EVENTS_FILE}")) - written:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody else keeps a file there
            path.parent.rmdir()


def _scalars(record: EvaluationRecord) -> bytes:
    """Returns a Summary with every metric of an evaluation that has a value, in percent."""
    values = {f"{record.split}/{name}": value for name, value in record.metrics.items() if value is not None}
    return b"".join(_bytes(1, _text(1, tag) + _tag(2, 5) + struct.pack("<f", value)) for tag, value in values.items())


def _experiment(hparams: Mapping[str, Any], metrics: Sequence[str]) -> bytes:
    """Returns Experiment: the columns of the HParams page."""
    infos = b"".join(_bytes(4, _text(1, name) + _number(4, 3 if _is_number(v) else 1)) for name, v in hparams.items())
    return infos + b"".join(_bytes(5, _bytes(1, _text(2, tag))) for tag in metrics)


def _session_start(hparams: Mapping[str, Any], group: str) -> bytes:
    """Returns SessionStartInfo: a map from hyperparameter to google.protobuf.Value."""
    entries = b"".join(_bytes(1, _text(1, name) + _bytes(2, _value(value))) for name, value in hparams.items())
    return entries + _text(4, group)


def _value(value: Any) -> bytes:
    """Returns google.protobuf.Value: a number where it is one, its text otherwise."""
    if _is_number(value):
        return _tag(2, 1) + struct.pack("<d", value)
    return _text(3, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hparams(tag: str, field: int, content: bytes) -> bytes:
    """Returns a Summary whose one value carries HParamsPluginData (``field``: experiment 2, start 3, end 4)."""
    plugin = _bytes(1, _text(1, "hparams") + _bytes(2, _bytes(field, content)))
    # TensorBoard drops a value without a tensor: an empty float vector stands in for one.
    null_tensor = _number(1, 1) + _bytes(2, _bytes(2, _number(1, 0)))
    return _bytes(1, _text(1, tag) + _bytes(9, plugin) + _bytes(8, null_tensor))


def _event(step: int, summary: bytes = b"", version: bool = False) -> bytes:
    """Returns Event at wall time 0: only steps matter, and the same trial gives the same bytes."""
    head = _tag(1, 1) + struct.pack("<d", 0.0) + _number(2, step)
    return head + (_text(3, "brain.Event:2") if version else _bytes(5, summary))


def _record(event: bytes) -> bytes:
    """Returns an event as a TFRecord: length, its checksum, the event, its checksum."""
    length = struct.pack("<Q", len(event))
    return length + struct.pack("<I", _masked_crc(length)) + event + struct.pack("<I", _masked_crc(event))


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _crc_table() -> list[int]:
    """Returns the table of CRC-32C (Castagnoli), reflected polynomial 0x82F63B78."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    """Returns TFRecord's masked CRC-32C: rotated right by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
