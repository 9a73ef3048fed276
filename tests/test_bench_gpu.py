"""The GPU benchmark without a GPU: it says so and ends, before anything is drawn or loaded."""

from __future__ import annotations

import pytest

import agropest.training  # noqa: F401
from agropest.machine import Machine


def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import bench_gpu

    monkeypatch.setattr(bench_gpu, "this_machine", lambda: Machine("EPYC", 2))
    monkeypatch.setattr(bench_gpu, "draw_demo_dataset", lambda *_, **__: pytest.fail("nothing is to be drawn"))
    assert bench_gpu.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: no NVIDIA card here")
    assert "--cpu" in printed.err


def test_its_arguments_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import bench_gpu

    with pytest.raises(SystemExit) as ended:
        bench_gpu.main(["--most", "many"])
    assert ended.value.code == 2
    assert "--most" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_runs_to_its_end_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import bench_gpu
    from benchmarks.gpu_items import items

    words = ["--cpu", "--config", "demo.yaml", "--seconds", "1", "--most", "2", "--images", "8", "--side", "192"]
    words += ["--set", "INPUT.MIN_SIZE_TRAIN=[96]", "--set", "SOLVER.IMS_PER_BATCH=2"]
    assert bench_gpu.main(words) == 0
    printed = capsys.readouterr().out
    assert "one stock trial: " in printed
    assert "1 of ours together: " in printed
    assert "packing chooses " in printed
    rows = printed[printed.index("one trial with one setting changed") :].splitlines()[2:]
    names = [item.name for item in items(192)]
    assert [row[:42].strip() for row in rows[: len(names)]] == names
    assert [row[:42].strip() for row in rows[len(names) :]] == [
        "two together, taking turns",
        "two together, through CUDA MPS",
    ]
    for row in rows:
        skipped = "skipped: needs a card" in row
        assert skipped or float(row[42:].split()[0]) > 0, row
    assert sum("skipped: needs a card" in row for row in rows) == 9
