"""``python -m agropest compare``: prediction files on one ground truth, or the variants of several sweeps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from agropest.analysis.compared import Comparison

HELP = "compare COCO results files on one ground truth, or sweeps: intervals, paired differences, verdicts, ties"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ground_truth", type=Path, metavar="GT.json", help="COCO annotations; or a sweep's folder or name"
    )
    what = "COCO results files, two or more; or other sweeps"
    parser.add_argument("predictions", type=Path, nargs="+", metavar="A.json", help=what)
    parser.add_argument("--baseline", metavar="A.json", help="what the others are compared with (the first)")
    parser.add_argument(
        "--metric", help="AP, AP50, AP75, APs, APm, APl, AP-<class>, F1_deployed, ... (AP; a sweep's own)"
    )
    parser.add_argument("--threshold", type=float, default=0.5, metavar="T", help="deployed score threshold (0.5)")
    parser.add_argument("--resamples", type=int, default=2000, metavar="N", help="of the bootstrap (2000)")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", default=Path("results"), help="of sweeps' names (results)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    from agropest.store.upkeep.sweep_names import find_sweep

    paths = (arguments.ground_truth, *arguments.predictions)
    sweeps = [find_sweep(path, arguments.results) for path in paths]
    means_files = any(path.suffix == ".json" for path in paths)
    if any(sweeps) or not means_files:
        return _run_sweeps(arguments, sweeps)
    return _run_files(arguments)


def _run_sweeps(arguments: argparse.Namespace, sweeps: list[Path | None]) -> int:
    from agropest.analysis.several_sweeps import compare_sweeps
    from agropest.errors import StoreError, fault
    from agropest.report.console import new_console
    from agropest.report.tables.variants import comparison_table
    from agropest.store.upkeep.sweep_names import nearest_sweep

    paths = (arguments.ground_truth, *arguments.predictions)
    rule = "expected the folder of a sweep, or its name in the results folder, beside another one"
    missing = [path for path, folder in zip(paths, sweeps, strict=True) if folder is None]
    if missing:
        raise StoreError(*(fault("compare", rule, path, nearest_sweep(path, arguments.results)) for path in missing))
    folders = [folder for folder in sweeps if folder is not None]
    compared = compare_sweeps(folders, arguments.metric or "", arguments.baseline or "", arguments.resamples)
    if arguments.json:
        _print_json(compared.comparison, list(compared.notes))
        return 0
    console = new_console()
    _print_comparison(
        compared.comparison, compared.notes, comparison_table(compared.comparison, compared.trials, "", console.width)
    )
    return 0


def _run_files(arguments: argparse.Namespace) -> int:
    from agropest.analysis.prediction_comparison import compare_detectors
    from agropest.errors import DataError, fault, nearest
    from agropest.report.console import new_console
    from agropest.report.tables.variants import comparison_table
    from agropest.statistics.accuracy.metric import require_metric
    from agropest.statistics.detections.doubts import read_ground_truth, read_predictions

    names = _names(arguments.predictions)
    faults = []
    if len(names) < 2:
        one = f"{arguments.predictions[0]} --gt {arguments.ground_truth}"
        fix = f"name a second one; to look at one alone: python -m agropest summarize {one}"
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
    metric = arguments.metric or "AP"
    require_metric(metric, list(ground_truth.class_names.values()), "--metric")
    detectors = {}
    for name, path in names.items():
        detectors[name] = read_predictions(path, ground_truth)
    notes = [f"{arguments.ground_truth}: {note}" for note in ground_truth.notes]
    comparison = compare_detectors(
        ground_truth,
        detectors,
        metric,
        baseline or "",
        resamples=arguments.resamples,
        deployed_threshold=arguments.threshold,
    )
    if arguments.json:
        _print_json(comparison, notes)
        return 0
    width = new_console().width
    _print_comparison(
        comparison, [f"note: {note}" for note in notes], comparison_table(comparison, [], "", width, "detector")
    )
    return 0


def _print_json(comparison: Comparison, notes: list[str]) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps({**asdict(comparison), "notes": notes}, indent=1, allow_nan=False, ensure_ascii=False))


def _print_comparison(comparison: Comparison, notes: Sequence[str], table: Table) -> None:
    from agropest.report.console import new_console, print_sentence
    from agropest.report.verdicts import remarks

    console = new_console()
    for note in notes:
        print_sentence(console, note)
    console.print(comparison.sentence, style="bold", markup=False, highlight=False)
    console.print(table)
    for line in remarks(comparison):
        print_sentence(console, line)


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
