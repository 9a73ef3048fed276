"""``python -m agropest cost SWEEP``: what each variant costs at inference, beside its AP."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure parameters, GFLOPs, latency and memory of a sweep's variants, and show AP over latency"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="results/<sweep> or its name")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")
    parser.add_argument("--runs", type=int, metavar="N", default=30, help="timed runs of each model (30)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="", help="default: a GPU where there is one")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from agropest.analysis.models.inference_cost import CostRecord, costed_variants, write_costs
    from agropest.analysis.models.model_choice import (
        ModelAddress,
        choose_model,
        parse_address,
        signatures_of,
        some_pictures,
    )
    from agropest.analysis.sweep_comparison import compare_record
    from agropest.errors import StoreError, fault
    from agropest.machine import this_machine
    from agropest.report.console import print_sentence
    from agropest.report.export import export_sweep
    from agropest.report.tables.inference_cost import cheapest_sentence, cost_table, doubts, how_measured
    from agropest.store.store import Store
    from agropest.store.sweep_record import read_sweep_record
    from agropest.store.upkeep.results_root import results_root
    from agropest.sweep.frameworks.command import is_command

    if arguments.runs < 4:
        raise StoreError(fault("--runs", "expected 4 or more", arguments.runs, "30 is usual"))
    address = parse_address(arguments.sweep, arguments.results)
    folder, root = address.sweep, results_root(address.sweep)
    record = read_sweep_record(folder, root)
    store, machine = Store(root), this_machine()
    comparison = compare_record(record, store)
    commands = {trial.label for trial in record.trials if is_command(trial.config)}
    labels = [one.label for one in comparison.variants if one.rank is not None and one.label not in commands]
    pictures = [path for _, path in some_pictures(record.splits["valid"])]
    faults = []
    if not labels:
        rule = "expected a variant that Detectron2 trained and that has finished"
        faults.append(fault(str(folder), rule, "none", "let the sweep finish"))
    if not pictures:
        faults.append(fault(str(folder), "expected its validation pictures", "none", "bring the data set back"))
    if faults:
        raise StoreError(*faults)

    from agropest.deployment.cost import measure
    from agropest.deployment.detector import choose_device

    device = choose_device(arguments.device)
    costs, input_px = [], (0, 0)
    for label in labels:
        print(f"measuring {label} ...", flush=True)
        chosen = choose_model(record, store, comparison, ModelAddress(folder, label))
        cost, input_px = measure(chosen, pictures, device, machine.num_cores, arguments.runs)
        costs.append(cost)
    hardware = machine.device_name(device == "cuda")
    costs_record = CostRecord(hardware, device, machine.num_cores, arguments.runs, input_px, tuple(costs))
    path = write_costs(folder, costs_record)
    costed = costed_variants(comparison, costs_record, signatures_of(record))
    export_sweep(folder, ("csv", "html"))
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(cost_table(costed, record.metric))
    for line in (how_measured(costs_record), cheapest_sentence(costed, record.metric), doubts(costed)):
        if line:
            print_sentence(console, line)
    print(f"written to {folder}: {path.name}, inference_cost.csv, index.html")
    return 0
