"""The live table, the plain lines, and onlookers that fail."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from agropest import files
from agropest.analysis.progress import TrialProgress
from agropest.store.records import EvaluationRecord, Heartbeat, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.watch.progress import Progress, most_telling
from agropest.tuning.watch.watch import Rewritten, Watch


@pytest.fixture
def spec(tiny_sweep: Path) -> SweepSpec:
    return load_sweep(tiny_sweep)


def trials_of(store: Store) -> list[TrialSpec]:
    """A baseline that has finished, a trial that runs and one that waits."""
    made = []
    for label, status, scores in (
        ("baseline", TrialState.FINISHED, (20.0, 30.0)),
        ("focal", TrialState.RUNNING, (25.0,)),
        ("late", TrialState.NEW, ()),
    ):
        trial = TrialSpec(label, 1, {"SOLVER.MAX_ITER": 100, "TEST.EVAL_PERIOD": 50, "LABEL": label}, "d")
        made.append(trial)
        if status == TrialState.NEW:
            continue
        folder = store.folder(trial).claim()
        for number, score in enumerate(scores, start=1):
            record = EvaluationRecord("valid", 50 * number, {"AP": score}, 1, 1, 0.1)
            folder.write_evaluation(record, lambda path: files.write_bytes(path, b"boxes"))
        folder.write_status(Status(status, 50 * len(scores), 100.0))
        if status == TrialState.RUNNING:
            folder.write_heartbeat(Heartbeat(60, 0.0, images_per_s=12.34))
    return made


def shown(spec: SweepSpec, store: Store, trials: Sequence[TrialSpec], columns: int, height: int = 24) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=columns, height=height, force_terminal=True, color_system=None)
    progress = Progress(spec, trials, store, console)
    progress.link("Ray dashboard: http://127.0.0.1:8265")
    progress.refresh()
    progress.close()
    stream.truncate(0)
    stream.seek(0)
    console.print(progress.view())
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("columns", [80, 140])
def test_the_table_says_how_each_trial_stands(spec: SweepSpec, tmp_path: Path, columns: int) -> None:
    store = Store(tmp_path / "r")
    lines = shown(spec, store, trials_of(store), columns)
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("tiny: 1 running, 1 finished, 1 waiting; ")
    assert "best so far: baseline/s1, val AP 30.0" in lines[1]
    cells = {line.split()[0]: line.split() for line in lines if "/s1" in line and not line.startswith("best")}
    assert cells["baseline/s1"] == ["baseline/s1", "finished", "100/100", "30.0"]
    assert cells["focal/s1"][:6] == ["focal/s1", "running", "60/100", "25.0", "+5.0", "12.3"]
    assert cells["late/s1"] == ["late/s1", "waiting", "0/100"]
    assert lines[-1].startswith("Ray dashboard:")


def test_a_long_sweep_fits_the_terminal(spec: SweepSpec, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    trials = trials_of(store)
    more = [TrialSpec(f"v{i:02d}", 1, {"SOLVER.MAX_ITER": 100, "LABEL": i}, "d") for i in range(50)]
    lines = shown(spec, store, [*more, *trials], 80, height=20)
    assert len(lines) < 20
    assert any(line.startswith("focal/s1") for line in lines)
    assert any(line.startswith("baseline/s1") for line in lines)
    assert any(line.startswith("and 44 more") for line in lines)


def test_a_pipe_gets_plain_lines_once_each(spec: SweepSpec, tmp_path: Path) -> None:
    store, stream = Store(tmp_path / "r"), io.StringIO()
    progress = Progress(spec, trials_of(store), store, Console(file=stream, width=40))
    progress.say("starting Ray", True)
    progress.refresh()
    progress.close()
    lines = [line.split("] ", 1)[1] for line in stream.getvalue().splitlines()]
    assert lines[0] == "starting Ray"
    assert lines[1] == "1 of 3 trials have ended before"
    assert lines[2].startswith("focal/s1: running, val AP 25.0 (+5.0 vs baseline) at iteration 50, 12.3 images/s")
    assert len(lines) == 3
    assert "\x1b" not in stream.getvalue()


def test_an_onlooker_that_fails_is_left_out_and_named(spec: SweepSpec, tmp_path: Path) -> None:
    store, stream = Store(tmp_path / "r"), io.StringIO()
    told: list[int] = []

    def fails() -> None:
        raise OSError(28, "No space left on device")

    page = Rewritten("the page", fails, period_s=0)
    progress = Progress(spec, trials_of(store), store, Console(file=stream))
    watch = Watch(progress, [page, lambda trial_progress: told.append(len(trial_progress))])
    watch.refresh()
    while page._thread is not None and page._thread.is_alive():
        page._thread.join()
    watch.tell()
    watch.tell()
    assert told == [3, 3, 3]
    assert stream.getvalue().count("no longer updated: the page: OSError") == 1


def test_what_cannot_be_written_at_the_end_is_said_and_nothing_else_stops() -> None:
    def fails() -> None:
        raise OSError("no space")

    assert Rewritten("the page", fails, period_s=0).finish() == "not written: the page: OSError: no space"


def test_files_are_rewritten_only_for_what_is_new(tmp_path: Path) -> None:
    written: list[int] = []
    page = Rewritten("the page", lambda: written.append(1), period_s=0)
    running = TrialProgress(TrialSpec("a", 1, {}, "d"), TrialState.RUNNING, "", 10, 5.0, 10, None, 5.0, 1.0, 0.0, None)
    for trial_progress in ([running], [running], []):
        page._next = 0.0  # however long the last writing took
        page(trial_progress)
        assert page._thread is not None
        page._thread.join()
    assert len(written) == 2
    assert page.finish() == ""
    assert len(written) == 3


def test_most_telling_keeps_the_sweeps_order(tmp_path: Path) -> None:
    def progress_of(label: str, status: str, best: float | None) -> TrialProgress:
        return TrialProgress(TrialSpec(label, 1, {}, "d"), status, "", 0, best, None, None, best, 0.0, 0.0, None)

    trials = [
        progress_of("a", TrialState.NEW, None),
        progress_of("b", TrialState.FINISHED, 1.0),
        progress_of("c", TrialState.FINISHED, 2.0),
        progress_of("d", TrialState.RUNNING, 0.0),
    ]
    assert [one.trial.label for one in most_telling(trials, 4)] == ["a", "b", "c", "d"]
    assert [one.trial.label for one in most_telling(trials, 3)] == ["c", "d"]


def test_what_a_person_must_know_stays_when_the_live_table_is_gone(spec: SweepSpec, tmp_path: Path) -> None:
    store, stream = Store(tmp_path / "r"), io.StringIO()
    console = Console(file=stream, width=80, height=24, force_terminal=True, color_system=None)
    progress = Progress(spec, trials_of(store), store, console)
    progress.say("starting Ray", True)
    assert any("starting Ray" in line for line in render(progress))
    progress.say("a tracker failed")
    assert not any("tracker" in line for line in render(progress))
    progress.close()
    assert stream.getvalue().count("a tracker failed") == 1


def render(progress: Progress) -> list[str]:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(progress.view())
    return console.export_text().splitlines()
