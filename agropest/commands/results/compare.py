"""``python -m agropest compare GT.json A.json B.json``: detectors of any framework, and what a difference is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "compare COCO results files on one ground truth: intervals, paired differences, verdicts, ties"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ground_truth", type=Path, metavar="GT.json", help="COCO annotations")
    parser.add_argument("predictions", type=Path, nargs="+", metavar="A.json", help="COCO results files, two or more")
    parser.add_argument("--baseline", metavar="A.json", help="what the others are compared with (the first)")
    parser.add_argument(
        "--metric", default="AP", help="AP, AP50, AP75, APs, APm, APl, AP-<class>, F1_deployed, ... (AP)"
    )
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="deployed score threshold (0.5)")
    parser.add_argument("--resamples", type=int, default=2000, metavar="N", help="of the bootstrap (2000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from rich.console import Console

    from agropest.analysis.prediction_comparison import compare_detectors
    from agropest.errors import DataError, fault, nearest
    from agropest.report.tables.variants import comparison_table
    from agropest.report.verdicts import remarks
    from agropest.statistics.accuracy.metric import require_metric
    from agropest.statistics.detections.doubts import read_ground_truth, read_predictions

    names = _names(arguments.predictions)
    faults = []
    if len(names) < 2:
        fix = "to look at one alone: python -m agropest summarize A.json --gt GT.json"
        faults.append(fault("compare", "expected two results files or more", len(names), fix))
    baseline = _named(arguments.baseline, names)
    if baseline is None:
        faults.append(
            fault("--baseline", "expected one of the files", arguments.baseline, nearest(arguments.baseline, names))
        )
    if not 0 <= arguments.threshold <= 1:
        faults.append(fault("--threshold", "expected a score from 0 to 1", arguments.threshold, "give one such as 0.5"))
    if arguments.resamples < 100:
        faults.append(fault("--resamples", "expected at least 100", arguments.resamples, "2000 is usual"))
    if faults:
        raise DataError(*faults)
    ground_truth = read_ground_truth(arguments.ground_truth)
    require_metric(arguments.metric, list(ground_truth.class_names.values()), "--metric")
    detectors = {}
    for name, path in names.items():
        detectors[name] = read_predictions(path, ground_truth)
    notes = [f"{arguments.ground_truth}: {note}" for note in ground_truth.notes]
    comparison = compare_detectors(
        ground_truth,
        detectors,
        arguments.metric,
        baseline or "",
        resamples=arguments.resamples,
        deployed_threshold=arguments.threshold,
    )
    if arguments.json:
        content = {**asdict(comparison), "notes": notes}
        print(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))
        return 0
    console = Console()
    if not console.is_terminal:  # a log file or a pipe: rich would take 80 columns
        console.width = 200
    for note in notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    console.print(comparison.sentence, style="bold", markup=False, highlight=False)
    console.print(comparison_table(comparison, [], "", console.width, "detector"))
    for line in remarks(comparison):
        console.print(line, markup=False, highlight=False)
    return 0


def _names(paths: list[Path]) -> dict[str, Path]:
    """Returns the shortest names that tell the files apart: stems, else whole paths."""
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    return dict(zip(names, paths, strict=True))


def _named(wanted: str | None, names: dict[str, Path]) -> str | None:
    """Returns the name of the baseline: the first, or the one whose path or name was given; None when it is none."""
    if wanted is None:
        return next(iter(names))
    return next((name for name, path in names.items() if wanted == name or Path(wanted) == path), None)
