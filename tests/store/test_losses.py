"""Losses are read as they were written, and a training that continues supersedes what it trains again."""

from __future__ import annotations

from pathlib import Path

from agropest.store.losses import NAME, LossLine, LossLog, read_losses


def write(folder: Path, *iterations: int, start: int = 0, value: float = 1.0) -> None:
    log = LossLog(folder, start)
    for iteration in iterations:
        log.write(iteration, 0.01, {"loss_cls": value, "loss_box": value / 4})


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_losses(tmp_path) == []
    write(tmp_path, 20, 40)
    assert read_losses(tmp_path)[1] == LossLine(40, 1.25, {"loss_cls": 1.0, "loss_box": 0.25})
    assert (tmp_path / NAME).read_text().splitlines()[0] == "iteration,learning_rate,total,loss_cls,loss_box"


def test_a_training_that_continues_writes_the_lost_part_again(tmp_path: Path) -> None:
    write(tmp_path, 20, 40, 60)
    write(tmp_path, 60, 80, start=40, value=2.0)
    assert [(line.iteration, line.total) for line in read_losses(tmp_path)] == [
        (20, 1.25), (40, 1.25), (60, 2.5), (80, 2.5)
    ]  # fmt: skip
    write(tmp_path, 20)
    assert [line.iteration for line in read_losses(tmp_path)] == [20]  # started afresh


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, 20, 40)
    text = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(text[:-6] + "\nnot,a,line,of,it")
    assert [line.iteration for line in read_losses(tmp_path)] == [20]
    write(tmp_path, 60, start=40)
    assert [line.iteration for line in read_losses(tmp_path)] == [20, 60]
