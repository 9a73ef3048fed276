"""``python -m agropest stats DATA``: classes, sizes, repeat factors, anchor coverage, fitted anchors."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "describe a data set: classes, box sizes, repeat factors; anchor coverage under a config, fitted anchors"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a data set's folder (YOLO, COCO, Pascal VOC), or a data.yaml in it; never written to",
    )
    parser.add_argument("--config", type=Path, metavar="CFG", help="a Detectron2 config: anchors, training scales")
    parser.add_argument("--threshold", type=float, default=0.1, metavar="T", help="of the repeat factors (0.1)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (results/data/NAME-FINGERPRINT/stats)")
    parser.add_argument("--split-valid", type=float, metavar="SHARE", help="of train, where there is no valid split")
    parser.add_argument("--split-seed", type=int, default=0, metavar="N", help="of that choice (0)")
    parser.add_argument("--processes", type=int, metavar="N", help="that decode images (one a core)")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from agropest.data.anchors.config import read_anchor_config
    from agropest.data.dataset import refuse_inside
    from agropest.data.inspection.summary import summarize, summary_tables, write_summary
    from agropest.data.opening import open_dataset
    from agropest.data.set_apart import split_of_command
    from agropest.errors import DataError, fault
    from agropest.report.console import print_sentence

    if not arguments.threshold > 0:
        raise DataError(fault("--threshold", "expected a share above 0", arguments.threshold, "give one such as 0.1"))
    config = read_anchor_config(arguments.config) if arguments.config else None  # before anything slow
    split = split_of_command(arguments.split_valid, arguments.split_seed)
    dataset = open_dataset(arguments.data, arguments.processes, split=split)
    out = arguments.out or dataset.health.parent / "stats"
    refuse_inside(out, dataset.root)
    summary = summarize(dataset, config, arguments.threshold)
    console = Console()
    for line in dataset.faults:
        print_sentence(console, f"A launch refuses this set: {line}")
    for table in summary_tables(summary):
        console.print(table)
    if summary.fitted is not None:
        print(f"Anchors fitted to the training boxes, to paste into a sweep's overrides:\n\n{summary.snippet}")
    names = write_summary(summary, out)
    print(f"written to {out}: {', '.join(names)}")
    return 0
