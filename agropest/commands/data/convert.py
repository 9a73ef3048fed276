"""``python -m agropest convert SRC``: a YOLO export, COCO or Pascal VOC folder to checked COCO JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "convert a data set (YOLO, COCO, Pascal VOC) to checked COCO JSON, and report what is wrong with it"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        metavar="SRC",
        help="a data set's folder (YOLO, COCO, Pascal VOC), or a data.yaml in it; never written to",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (results/data/NAME-FINGERPRINT)")
    parser.add_argument("--split-valid", type=float, metavar="SHARE", help="of train, where there is no valid split")
    parser.add_argument("--split-seed", type=int, default=0, metavar="N", help="of that choice (0)")
    parser.add_argument("--processes", type=int, metavar="N", help="that decode images (one a core)")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from agropest.data.convert import convert
    from agropest.data.dataset import refuse_inside, write_conversion
    from agropest.data.health import read_findings
    from agropest.data.inspection.tables import health_table, split_table
    from agropest.data.opening import image_progress, open_dataset
    from agropest.data.place import data_place
    from agropest.data.set_apart import set_apart, split_of_command
    from agropest.data.source import find_source
    from agropest.errors import DataError

    split = split_of_command(arguments.split_valid, arguments.split_seed)
    if arguments.out is None:
        dataset = open_dataset(arguments.data, arguments.processes, split=split)
    else:
        place = data_place(arguments.data)
        refuse_inside(arguments.out, place.root)
        source = find_source(place.root, place.data_yaml, "train" if split else None)
        with image_progress("reading images") as on_image:
            conversion = convert(source, arguments.processes, on_image(len(source.pictures)))
        conversion = set_apart(conversion, split) if split else conversion
        dataset = write_conversion(conversion, arguments.out, place.data_yaml)
    findings = read_findings(dataset.health)
    console = Console()
    console.print(split_table(dataset))
    console.print(health_table(findings) if findings else "Nothing was left out or changed.")
    print(f"fingerprint {dataset.fingerprint}")
    print(f"written to {dataset.health.parent}")
    if dataset.faults:
        raise DataError(*dataset.faults)
    for name in ("train", "valid"):
        if name not in dataset.splits:
            how = " without `split: {valid: 0.15}` in the sweep file" if name == "valid" else ""
            print(f"There is no {name} split: a launch refuses this set{how}.")
    return 0
