"""``python -m agropest summarize PREDICTIONS.json``: what a COCO results file of any framework holds."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "describe a COCO results file; with --gt: COCO metrics, calibration, error types (TIDE), confusion"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS.json", help="a COCO results file")
    parser.add_argument("--gt", type=Path, metavar="GT.json", help="the COCO annotations of the same images")
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="deployed score threshold (0.5)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(arguments: argparse.Namespace) -> int:
    import json

    from rich.console import Console

    from agropest.errors import DataError, fault
    from agropest.report.console import print_sentence
    from agropest.report.tables.predictions import summarize_predictions, summary_content, summary_tables
    from agropest.statistics.detections.boxes import Boxes
    from agropest.statistics.detections.doubts import doubts, read_ground_truth, read_predictions

    if not 0 <= arguments.threshold <= 1:
        raise DataError(
            fault("--threshold", "expected a score from 0 to 1", arguments.threshold, "give one such as 0.5")
        )
    notes: list[str] = []
    ground_truth = read_ground_truth(arguments.gt) if arguments.gt else None
    if ground_truth is None:
        boxes = Boxes.from_coco_results(arguments.predictions)
    else:
        boxes = read_predictions(arguments.predictions, ground_truth)
        notes = [f"{arguments.gt}: {note}" for note in ground_truth.notes]
        notes += [f"{arguments.predictions}: {note}" for note in doubts(boxes, ground_truth)]
    summary = summarize_predictions(boxes, ground_truth, arguments.threshold)
    if arguments.json:
        content = {**summary_content(summary), "notes": notes}
        print(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))
        return 0
    console = Console()
    if not console.is_terminal:  # a log file or a pipe: rich would take 80 columns
        console.width = 200
    for note in notes:
        print_sentence(console, f"note: {note}")
    for heading, table in summary_tables(summary):
        console.print(heading, style="bold", markup=False, highlight=False)
        console.print(table)
    if summary.evaluated and summary.evaluated.unknown:
        print(
            f"{summary.evaluated.unknown} boxes of categories that the ground truth lacks are left out of the metrics."
        )
    return 0
