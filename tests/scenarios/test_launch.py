"""launch.py as a user runs it: in a process of its own, judged by its exit code, its words and what it left."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from agropest import files
from agropest.data.demo import draw as demo
from agropest.errors import StoreError, fault
from agropest.report.console import LOG_COLUMNS
from agropest.report.tables.plan import print_remarks
from agropest.store.records import TrialState
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.lint import Remark
from agropest.tuning.launch import Launch as SweepLaunch
from agropest.tuning.run import Outcome
from agropest.tuning.watch.watch import Rewritten
from benchmarks.faults.launched import MARK, Launch
from launch import main
from tests.conftest import write_tiny_sweep

ROOT = Path(__file__).resolve().parents[2]
INJECTED = Path(__file__).parent / "faults" / "injected"
LIMIT_S = 600  # of what hangs; a machine may be slow


def command(*words: object) -> list[str]:
    return [sys.executable, str(ROOT / "launch.py"), *map(str, words), "--no-dashboard"]


def launch(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, **environment}
    return subprocess.run(command(*words), cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, env=surroundings)


# Without building every variant first, which costs seconds and is not what a launch is tested for.
UNCHECKED = "--set=silence=[no-effect]"
LONGER = ("--name", "tiny", "--set", "SOLVER.MAX_ITER=8", "--set", "TEST.EVAL_PERIOD=4", "--set", "seeds=[5]")


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """An undisturbed sweep of two trials: its file, its results folder, and the lines that it printed."""
    folder = tmp_path_factory.mktemp("whole")
    sweep = write_tiny_sweep(folder / "tiny.yaml", tiny_folder)
    result = launch(sweep, "--results", folder / "r", *LONGER, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return sweep, folder / "r", result.stdout.splitlines()


def test_the_demo_set_is_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = functools.partial(demo.draw_demo_dataset, train=4, valid=4, test=2, image_size_px=64)
    monkeypatch.setattr(demo, "draw_demo_dataset", lambda folder: draw(folder))
    sweep = write_tiny_sweep(tmp_path / "tiny.yaml", Path("unused"))
    sweep.write_text(sweep.read_text().replace("data: unused", "data: {draw_demo: drawn}"))
    plan = [str(sweep), "--plan", "--results", str(tmp_path / "r"), UNCHECKED]
    assert main(plan) == 0
    assert f"drawing the demo's pictures into {tmp_path / 'drawn'}" in capsys.readouterr().out
    assert main(plan) == 0
    assert "drawing" not in capsys.readouterr().out


def trial_folders(results: Path) -> list[TrialFolder]:
    return [TrialFolder(path) for path in sorted((results / "trials").glob("*")) if path.is_dir()]


def test_a_sweep_of_two_trials_and_a_second_launch_that_trains_nothing(
    whole: tuple[Path, Path, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, results, printed = whole
    ranking = pd.read_csv(results / "tiny" / "ranking.csv")
    assert list(ranking["rank"]) == [1, 2]
    assert f"Look closer: python -m webbrowser -t {(results / 'tiny' / 'index.html').as_uri()}" in printed
    assert printed[-1] == "Use it: python -m agropest model r/tiny OUT"
    assert set(ranking["label"]) == {"baseline", "focal"}
    assert list(ranking["status"]) == ["finished", "finished"]
    assert list(ranking["iteration"]) == [8, 8]
    start = ["rank", "label", "seed", "status", "iteration", "val_AP", "val_AP50", "val_AP75", "val_APs"]
    assert list(ranking.columns)[:9] == start
    assert {"val_APm", "val_APl", "test_AP", "test_APl", "time_s", "signature"} <= set(ranking.columns)
    assert ranking["val_AP"].is_monotonic_decreasing
    per_class = pd.read_csv(results / "tiny" / "per_class.csv")
    assert set(per_class["split"]) == {"valid", "test"}
    assert len(per_class) == 2 * 2 * 12
    assert "baseline" in (results / "tiny" / "ranking.md").read_text()

    before = {path: path.stat().st_mtime_ns for path in (results / "trials").rglob("*") if path.is_file()}
    assert any(path.suffix == ".pth" for path in before)
    monkeypatch.chdir(results.parent)
    assert main([str(sweep), "--results", str(results), *LONGER]) == 0
    after = {path: path.stat().st_mtime_ns for path in before if path.name != ".writable"}
    assert after == {path: stamp for path, stamp in before.items() if path.name != ".writable"}
    assert capsys.readouterr().out.splitlines()[-8:] == printed[-8:]


def test_a_plan_says_what_is_new_and_starts_nothing(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tiny_sweep), "--plan", "--results", str(tmp_path / "r")]) == 0
    printed = capsys.readouterr().out
    assert "2 trials: 2 new" in printed
    assert "softmax_focal" in printed
    assert "race stops nothing: validation has 6 independent images" in printed
    told = " ".join(printed.split())
    assert re.search(r"lint: .* \[([a-z-]+)\] lint: .* turned off in the sweep file \(silence: \[\1\]\)", told)
    assert trial_folders(tmp_path / "r") == []


def test_a_line_for_a_log_file_is_not_wrapped() -> None:
    stream = io.StringIO()
    text = " ".join(["MODEL.ANCHOR_GENERATOR.FITTED: 1"] * 20)
    print_remarks([Remark("no-effect", text)], Console(file=stream, width=LOG_COLUMNS))
    assert stream.getvalue().splitlines()[0] == f"lint: {text} [no-effect]"


def test_a_plan_refuses_what_cannot_be_built_though_its_rule_is_silenced(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tiny_sweep), "--plan", "--results", str(tmp_path / "r"), UNCHECKED]
    for _ in range(2):
        assert main(words) == 0
    built = capsys.readouterr().out.count("building each of 2 variants once, to see whether it can be")
    assert built == 1  # and remembered
    assert main(words[:-1]) == 0  # as something else than what the overrides change
    assert "to see what it changes" in capsys.readouterr().out
    assert main([*words, "--set", "MODEL.BACKBONE.NAME=build_no_such_backbone"]) == 2
    assert "build_no_such_backbone" in capsys.readouterr().err


def start(*words: object, cwd: Path, environment: Mapping[str, str] = os.environ) -> subprocess.Popen[bytes]:
    with open(cwd / "log.txt", "w") as log:  # a pipe that nobody reads may fill up
        return subprocess.Popen(command(*words), cwd=cwd, stdout=log, stderr=subprocess.STDOUT, env=environment)


def wait_for(
    process: subprocess.Popen[bytes], results: Path, ready: Callable[[TrialFolder], bool]
) -> list[TrialFolder]:
    """Returns the folders of both trials once both are ready while the launch runs."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        folders = trial_folders(results)
        if len(folders) == 2 and all(map(ready, folders)):
            return folders
        assert process.poll() is None, (results.parent / "log.txt").read_text()
        time.sleep(0.1)
    raise AssertionError("the trials were not ready in time")


def writer(folder: TrialFolder) -> int:
    """Returns the process that trains."""
    pid: int = files.read_json(folder.path / "writer.json")["pid"]
    return pid


def ended(folders: list[TrialFolder]) -> bool:
    """Returns whether the processes that trained have ended, once they have had the time to."""
    pids, limit = [writer(folder) for folder in folders], time.monotonic() + LIMIT_S
    while any(map(is_alive, pids)) and time.monotonic() < limit:
        time.sleep(0.2)
    return not any(map(is_alive, pids))


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_ctrl_c_saves_checkpoints_and_the_next_launch_goes_on(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "r"
    rare = [f"--set={key}=100000" for key in ("SOLVER.MAX_ITER", "TEST.EVAL_PERIOD", "SOLVER.CHECKPOINT_PERIOD")]
    rare += [UNCHECKED, "--name=tiny"]
    process = start(tiny_sweep, "--results", results, *rare, cwd=tmp_path)
    with ended_at_last(process):
        wait_for(process, results, lambda folder: folder.heartbeat() is not None)  # both have trained an iteration
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)
    assert process.returncode == 130, (tmp_path / "log.txt").read_text()
    for folder in trial_folders(results):
        assert folder.status().status == TrialState.INTERRUPTED
        assert folder.status().iteration > 0
        assert list(folder.checkpoints.glob("*.pth"))
    assert (results / "tiny" / "ranking.csv").is_file()
    assert main([str(tiny_sweep), "--results", str(results), "--plan", *rare]) == 0
    assert "2 unfinished" in capsys.readouterr().out


def test_ctrl_c_twice_ends_the_launch_at_once_and_leaves_no_trial(tiny_sweep: Path, tmp_path: Path) -> None:
    """The trials are amid an iteration that takes its time, so that no checkpoint can be waited for."""
    results, go = tmp_path / "r", tmp_path / "go"
    held = {"HELD_AT": "2", "HELD_UNTIL": str(go), "PYTHONPATH": str(INJECTED)}
    words = ("--results", results, *LONGER, UNCHECKED)
    process = start(tiny_sweep, *words, cwd=tmp_path, environment={**os.environ, **held})
    with ended_at_last(process):
        wait_for(process, results, lambda folder: bool(list(folder.path.glob("held-*"))))
        process.send_signal(signal.SIGINT)
        limit = time.monotonic() + LIMIT_S
        while "again to stop at once" not in (tmp_path / "log.txt").read_text():
            assert time.monotonic() < limit
            time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 130, (tmp_path / "log.txt").read_text()
    assert not (results / "tiny" / "ranking.csv").exists()
    go.touch()
    assert ended(trial_folders(results))


def test_a_results_folder_that_is_moved_away_ends_the_launch_and_does_not_come_back(
    tiny_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, elsewhere = tmp_path / "r", tmp_path / "elsewhere"
    rare = [f"--set={key}=100000" for key in ("SOLVER.MAX_ITER", "TEST.EVAL_PERIOD", "SOLVER.CHECKPOINT_PERIOD")]

    def move() -> None:
        limit = time.monotonic() + LIMIT_S
        while time.monotonic() < limit and not elsewhere.exists():
            folders = trial_folders(results)
            if len(folders) == 2 and any(folder.heartbeat() for folder in folders):
                results.rename(elsewhere)
            time.sleep(0.1)

    monkeypatch.chdir(tmp_path)
    mover = threading.Thread(target=move)
    mover.start()
    code = main([str(tiny_sweep), "--results", str(results), "--no-dashboard", UNCHECKED, *rare])
    mover.join()
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith(f"error: {results}: expected the results folder to stay")
    assert len(error.splitlines()) == 1
    assert not (results / "trials").exists()
    assert len(trial_folders(elsewhere)) == 2


def test_only_what_was_added_is_run_what_failed_is_tried_again_and_fresh_begins_anew(
    whole: tuple[Path, Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep, whole_results, _ = whole
    results = tmp_path / "r"
    shutil.copytree(whole_results, results)
    monkeypatch.chdir(tmp_path)
    words = [str(sweep), "--results", str(results), "--no-dashboard", UNCHECKED, *LONGER]
    [baseline] = (TrialFolder(path) for path in (results / "trials").glob("baseline-*"))
    [focal] = (TrialFolder(path) for path in (results / "trials").glob("focal-*"))
    focal.claim().write_status(replace(focal.status(), status=TrialState.FAILED, reason="on purpose"))
    assert main([*words, "--plan", "--retry-failed"]) == 0
    assert "--retry-failed: 1 trials would be tried again: focal/s5" in capsys.readouterr().out
    assert focal.status().status == TrialState.FAILED

    before = stamps(baseline)
    added = ["--set", "seeds=[5, 6]", "--set", "variants.slow.SOLVER.BASE_LR=0.001"]
    assert main([*words, *added, "--retry-failed"]) == 0
    assert "--retry-failed: 1 trials are tried again: focal/s5" in capsys.readouterr().out
    assert stamps(baseline) == before
    assert focal.status().notes[-1] == "failed, and tried again on request: on purpose"
    assert sorted(pd.read_csv(results / "tiny" / "ranking.csv")["status"]) == ["finished"] * 6

    kept = {folder.path.name: stamps(folder) for folder in trial_folders(results)}
    alone = "variants={focal: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}}"
    fewer = ["--name", "alone", "--set", "baseline=focal", "--set", alone]  # under the first name they would be refused
    assert main([*words, *fewer, "--fresh"]) == 0
    assert "--fresh: 1 trials start again (1 finished: 8 iterations" in capsys.readouterr().out
    [aside] = (results / "aside").glob("alone-*/*")
    for folder in trial_folders(results):
        assert (stamps(folder) == kept[folder.path.name]) == (folder.path.name != aside.name)
    assert stamps(TrialFolder(aside)) == kept[aside.name]


def stamps(folder: TrialFolder) -> dict[str, int]:
    """Returns when each file of a trial was written."""
    return {str(path.relative_to(folder.path)): path.stat().st_mtime_ns for path in folder.path.rglob("*")}


@contextlib.contextmanager
def ended_at_last(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process that does not outlive the test."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_killed_processes_cost_only_the_work_since_their_checkpoint(
    whole: tuple[Path, Path, list[str]], tiny_sweep: Path, tmp_path: Path
) -> None:
    """kill -9 of a trial, then of the driver; what comes out is what an undisturbed sweep gives.

    Trials wait at the fourth iteration, behind a checkpoint of the second, until both kills are done.
    """
    results, go = tmp_path / "r", tmp_path / "go"
    held = {"HELD_AT": "3", "HELD_UNTIL": str(go), "PYTHONPATH": str(INJECTED), MARK: "killed"}
    process = start(
        tiny_sweep, "--results", results, *LONGER, UNCHECKED, cwd=tmp_path, environment={**os.environ, **held}
    )
    with ended_at_last(process):
        folder, _ = wait_for(process, results, is_held)
        killed = writer(folder)
        os.kill(killed, signal.SIGKILL)
        wait_for(process, results, lambda one: is_held(one) and writer(one) != killed)
    go.touch()
    assert ended(trial_folders(results))

    again = launch(tiny_sweep, "--results", results, *LONGER, UNCHECKED, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    _, expected, _ = whole
    columns = ["label", "status", "iteration", "val_AP", "val_AP50", "test_AP", "test_AP50", "signature"]
    one, two = (pd.read_csv(folder / "tiny" / "ranking.csv")[columns] for folder in (expected, results))
    pd.testing.assert_frame_equal(one, two)
    records = folder.read_evaluations()
    assert [record.iteration for record in records] == [4, 8]
    for record in records:
        undisturbed = expected / "trials" / folder.path.name / "evaluations" / f"{record.stem}.npz"
        assert folder.boxes_path(record).read_bytes() == undisturbed.read_bytes()
    # Last: two of Ray's own agents take up to a minute to notice that Ray is gone.
    assert Launch(process, held[MARK], tmp_path / "log.txt").left_over() == []


def is_held(folder: TrialFolder) -> bool:
    """Returns whether the process that has the trial now waits, with a checkpoint behind it."""
    held = {path.name for path in folder.path.glob("held-*")}
    return bool(held) and f"held-{writer(folder)}" in held and any(folder.checkpoints.glob("*.json"))


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("none.yaml",), ("none.yaml", "no such file")),
        (("tiny.yaml", "--data", "nowhere"), ("nowhere", "data.yaml")),
        (("tiny.yaml", "--set", "SOLVER.BASELR=1"), ("SOLVER.BASELR", "did you mean 'SOLVER.BASE_LR'?")),
        (("tiny.yaml", "--set", "metric=AP-Antz"), ("metric", "did you mean 'AP-Ants'?")),
        (("tiny.yaml", "--set", "silence=[nothing]"), ("silence", "nothing")),
        (("tiny.yaml", "--set", "MODEL.WEIGHTS=none.pkl"), ("MODEL.WEIGHTS", "none.pkl")),
    ],
)
def test_bad_input_gets_one_clear_error(
    tiny_sweep: Path,
    words: tuple[str, ...],
    pieces: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tiny_sweep.parent)
    assert main([*words, "--results", "r"]) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert printed.err
    assert all(line.startswith("error: ") for line in printed.err.splitlines())  # one, or one for each variant
    for piece in pieces:
        assert piece in printed.err
    assert trial_folders(Path("r")) == []


@pytest.mark.parametrize(
    ("variants", "pieces"),
    [
        ("{a: {SOLVER.BASELR: 1}, b: {SOLVER.STEP: 2}}", (("SOLVER.BASELR",), ("SOLVER.STEP",))),
        # What this machine does not have.
        (
            "{a: {resources: {gpus: 1}}, b: {resources: {cpus: 4000}, SOLVER.BASE_LR: 0.02}}",
            (("1 GPUs", "--set variants.a.resources.gpus=0"), ("4000 CPUs", "--set variants.b.resources.cpus=")),
        ),
    ],
    ids=["the file", "the machine"],
)
def test_the_process_tells_all_faults_and_ends(
    tiny_sweep: Path, tmp_path: Path, variants: str, pieces: tuple[tuple[str, ...], ...]
) -> None:
    text = tiny_sweep.read_text().split("variants:")[0]
    tiny_sweep.write_text(f"{text}silence: [no-effect]\nvariants: {variants}\n")
    result = launch(tiny_sweep, "--results", "r", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    faults = result.stderr.splitlines()
    assert len(faults) == len(pieces)
    assert all(line.startswith("error: ") for line in faults)
    for of_one in pieces:
        assert any(all(piece in line for piece in of_one) for line in faults), result.stderr
    assert trial_folders(tmp_path / "r") == []
    assert not (tmp_path / "r" / "tiny").exists()  # nor is the page of an earlier launch written over


def test_what_would_fail_after_the_training_is_tried_out_whatever_is_silenced(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retinanet = (
        "MODEL.META_ARCHITECTURE=RetinaNet",
        "MODEL.BACKBONE.NAME=build_retinanet_resnet_fpn_backbone",
        "MODEL.RESNETS.OUT_FEATURES=[res3, res4, res5]",
        "MODEL.FPN.IN_FEATURES=[res3, res4, res5]",
        "MODEL.RPN.IN_FEATURES=[p3, p4, p5, p6, p7]",
        "MODEL.ANCHOR_GENERATOR.SIZES=[[8], [16], [32], [64], [128]]",
        "TEST.AUG.ENABLED=true",
    )
    words = [word for setting in retinanet for word in ("--set", setting)]
    assert main([str(tiny_sweep), "--results", str(tmp_path / "r"), UNCHECKED, *words]) == 2
    assert "TEST.AUG.ENABLED: expected a model that can be augmented" in capsys.readouterr().err
    assert trial_folders(tmp_path / "r") == []


def test_a_launch_that_ends_with_an_error_leaves_a_page_that_does_not_say_that_it_runs(
    tiny_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "r" / "tiny" / "index.html"

    def fails(started: SweepLaunch, onlookers: list[Rewritten], *_: object) -> None:
        for one in onlookers:
            one.finish()  # as it is written while trials run
        assert 'http-equiv="refresh"' in page.read_text()
        raise StoreError(fault(str(started.store.root), "expected room", "none", "make some"))

    monkeypatch.setattr("agropest.tuning.run.run_trials", fails)
    assert main([str(tiny_sweep), "--results", str(tmp_path / "r"), "--set", "silence=[no-effect]"]) == 2
    assert "expected room" in capsys.readouterr().err
    text = page.read_text()
    assert 'http-equiv="refresh"' not in text
    assert "not running: the launch has ended" in text


def test_ctrl_c_while_the_tables_are_made_says_what_writes_them(
    tiny_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agropest.tuning.run.run_trials", lambda *_: Outcome(False, False))
    monkeypatch.setattr("agropest.report.export.write_exports", interrupted)
    assert main([str(tiny_sweep), "--results", str(tmp_path / "r"), UNCHECKED, "--name=tiny"]) == 130
    said = (
        f"interrupted before all tables were written: python -m agropest export {tmp_path / 'r' / 'tiny'} writes them"
    )
    assert said in capsys.readouterr().out
