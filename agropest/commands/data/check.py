"""``python -m agropest check DATA``: health, duplicates and leaks, and a page of the worst offenders."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "check a data set: health report, duplicates within and across splits, a page of the worst images"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a data set's folder (YOLO, COCO, Pascal VOC), or a data.yaml in it; never written to",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        default=Path("results"),
        help="results folder whose launches use the findings (results)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write instead (RESULTS/data/NAME-FINGERPRINT/check)"
    )
    parser.add_argument(
        "--near", type=int, default=6, metavar="BITS", help="of 64 that near duplicates may differ in (6)"
    )
    parser.add_argument("--split-valid", type=float, metavar="SHARE", help="of train, where there is no valid split")
    parser.add_argument("--split-seed", type=int, default=0, metavar="N", help="of that choice (0)")
    parser.add_argument("--processes", type=int, metavar="N", help="that decode images (one a core)")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from agropest import files
    from agropest.data.dataset import refuse_inside
    from agropest.data.health import Finding, read_findings
    from agropest.data.inspection.contact_sheet import draw_contact_sheet, worst_offenders
    from agropest.data.inspection.similarity import Pair, find_pairs, hash_pictures
    from agropest.data.inspection.tables import health_table, pair_table, split_table, write_csv
    from agropest.data.opening import open_dataset
    from agropest.data.set_apart import split_of_command
    from agropest.report.console import print_sentence

    split = split_of_command(arguments.split_valid, arguments.split_seed)
    dataset = open_dataset(arguments.data, arguments.processes, arguments.results / "data", split)
    out = arguments.out or dataset.health.parent / "check"
    refuse_inside(out, dataset.root)
    findings = read_findings(dataset.health)
    pairs = find_pairs(hash_pictures(dataset, arguments.processes), arguments.near)
    console = Console()
    for line in dataset.faults:
        print_sentence(console, f"A launch refuses this set: {line}")
    console.print(split_table(dataset))
    console.print(health_table(findings) if findings else "Nothing was left out or changed.")
    console.print(pair_table(pairs) if pairs else "No picture appears twice, within a split or across splits.")
    write_csv(out / "findings.csv", findings, list(Finding.__dataclass_fields__))
    write_csv(out / "pairs.csv", pairs, list(Pair.__dataclass_fields__))
    sheet = draw_contact_sheet(dataset, worst_offenders(dataset, findings), pairs)
    if sheet is not None:
        files.write_with(out / "worst.png", lambda file: sheet.save(file, "PNG"))
    else:
        (out / "worst.png").unlink(missing_ok=True)
    print(f"written to {out}: findings.csv, pairs.csv{', worst.png' if sheet is not None else ''}")
    return 0
