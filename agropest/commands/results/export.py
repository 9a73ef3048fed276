"""``python -m agropest export SWEEP``: the tables, the training record and the page of a sweep, again."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a sweep's tables (CSV, Markdown, LaTeX, JSON), training record and HTML page again"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="results/<sweep> or its name")
    parser.add_argument("--format", metavar="csv,md,...", help="of csv, md, latex, json, html; several by commas (all)")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="where the sweep's trials are; default: beside it, or where they were",
    )


def run(arguments: argparse.Namespace) -> int:
    from agropest.errors import AgropestError, fault, nearest
    from agropest.report.export import FORMATS, export_sweep
    from agropest.store.upkeep.sweep_names import sweep_folder

    wanted = [word.strip() for word in arguments.format.split(",")] if arguments.format is not None else list(FORMATS)
    unknown = [word for word in wanted if word not in FORMATS]
    if unknown:
        rule = f"expected some of {', '.join(FORMATS)}"
        raise AgropestError(*(fault("--format", rule, word, nearest(word, FORMATS)) for word in unknown))
    sweep = sweep_folder(arguments.sweep, arguments.results or Path("results"))
    names = export_sweep(sweep, wanted, arguments.results)
    print(f"written to {sweep}: {', '.join(names)}")
    return 0
