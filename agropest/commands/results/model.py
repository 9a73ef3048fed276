"""``python -m agropest model SWEEP[/variant[/seed]] OUT``: the winner as a folder that predicts."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a trained model as a folder: weights, Detectron2 config, classes, threshold, figures, how to predict"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="SWEEP[/variant[/seed]]",
        help="results/<sweep> or its name; without a variant the one ranked first, without a seed its best one",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write; a new one, or a model folder")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", default=Path("results"), help="where sweeps are looked for (results)"
    )
    parser.add_argument("--torchscript", action="store_true", help="add model.ts, checked against the model")
    parser.add_argument("--onnx", action="store_true", help="add model.onnx, checked with onnxruntime")


def run(arguments: argparse.Namespace) -> int:
    from agropest.analysis.models.model_choice import choose_model, model_estimates, parse_address
    from agropest.analysis.sweep_comparison import compare_record
    from agropest.store.store import Store
    from agropest.store.sweep_record import read_sweep_record
    from agropest.store.upkeep.results_root import results_root

    address = parse_address(arguments.model, arguments.results)
    root = results_root(address.sweep)
    record = read_sweep_record(address.sweep, root)
    store = Store(root)
    comparison = compare_record(record, store)
    chosen = choose_model(record, store, comparison, address)
    estimates = model_estimates(record, store, chosen)

    from agropest.deployment.graphs import exporter
    from agropest.deployment.packaging import package

    formats = [name for name in ("torchscript", "onnx") if getattr(arguments, name)]
    packaged = package(
        record, chosen, estimates, arguments.out, exporter(chosen.trial, formats, arguments.out) if formats else None
    )
    card, out = packaged.card, packaged.path
    figures = ", ".join(
        f"{split} {record.metric} {'n/a' if one['value'] is None else format(one['value'], '.2f')}"
        for split, one in card.figures.items()
    )
    print(f"{card.name}: {figures}, checkpoint of iteration {chosen.evaluation.iteration} ({chosen.status})")
    if address.variant is None and len(chosen.tied) > 1:
        others = ", ".join(one for one in chosen.tied if one != chosen.trial.label)
        print(f"ranked first; not distinguishable from it: {others}")
    unchecked = (
        "not checked: the validation pictures are no longer there, or were evaluated in mixed precision (TEST.AMP)"
    )
    print(f"checked: {card.checked}" if card.checked else f"not checked: {unchecked}")
    for name, outcome in card.exports.items():
        print(f"{name}: {outcome}")
    if card.needs_code or card.needs_keys:
        print("needs this project's package to be built; README.md in it has the lines")
    print(f"written to {out}; to try it: python -m agropest predict {out} PICTURES")
    return 0
