"""``python -m agropest predict MODEL PICTURES``: a model folder's boxes on any pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "find objects on pictures with a model folder: annotated pictures, COCO results, YOLO labels"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder that `model` wrote")
    parser.add_argument("pictures", nargs="+", metavar="PICTURES", help="pictures, folders, globs")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("predictions"), help="default: predictions")
    parser.add_argument("--json", action="store_true", help="write predictions.json (COCO results) and images.json")
    parser.add_argument("--yolo", action="store_true", help="write labels/*.txt: class, box as shares, score")
    parser.add_argument("--no-pictures", action="store_true", help="write no annotated pictures")
    parser.add_argument("--threshold", type=float, metavar="T", help="lowest score shown (the model's own)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="", help="default: a GPU where there is one")


def run(arguments: argparse.Namespace) -> int:
    import sys

    from agropest.data.opening import image_progress
    from agropest.deployment.pictures import find_pictures
    from agropest.errors import DataError, fault

    threshold = arguments.threshold
    if threshold is not None and not 0 <= threshold <= 1:
        raise DataError(fault("--threshold", "expected a score from 0 to 1", threshold, "give one such as 0.5"))
    pictures = find_pictures(arguments.pictures, arguments.out)

    from agropest.deployment.detector import open_detector
    from agropest.deployment.model_folder import read_model_folder
    from agropest.deployment.prediction import predict, write_annotated, write_coco, write_yolo

    folder = read_model_folder(arguments.model)
    card = folder.card
    detector = open_detector(folder, arguments.device)
    threshold = card.score_threshold if threshold is None else threshold
    draws = not arguments.no_pictures
    with image_progress("predicting") as on_image:
        done = predict(
            detector,
            pictures,
            threshold,
            lambda one: write_annotated(arguments.out, one, card.class_names) if draws else None,
            on_image(len(pictures)),
        )
    written = [f"{len(done.pictures)} annotated pictures"] if draws and done.pictures else []
    written += write_coco(arguments.out, done, card) if arguments.json else []
    written += write_yolo(arguments.out, done, card) if arguments.yolo else []
    for message in done.broken:
        print(f"left out: {message}", file=sys.stderr)
    if threshold < card.evaluated_threshold:
        print(f"the model keeps no box below {card.evaluated_threshold:g}: --threshold {threshold:g} shows no more")
    speed = f", {done.median_s * 1000:.0f} ms a picture (median, {detector.device})" if done.pictures else ""
    print(f"{done.num_boxes} boxes of score {threshold:g} or more on {len(done.pictures)} pictures{speed}")
    if written:
        print(f"written to {arguments.out}: {', '.join(written)}")
    return 1 if done.broken else 0
