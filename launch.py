#!/usr/bin/env python3
"""Runs, or goes on with, one sweep: ``python launch.py sweeps/demo.yaml``.

What is heavy (torch, ray, detectron2) is imported only once there is something to run.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agropest.errors import AgropestError, DataError, EnvironmentFault, fault, missing_package

if TYPE_CHECKING:
    from rich.console import Console

    from agropest.data.dataset import Dataset
    from agropest.planning.sweep_forecast import SweepForecast
    from agropest.store.store import Store
    from agropest.sweep.lint import Remark
    from agropest.sweep.spec import SweepSpec
    from agropest.sweep.trial import TrialSpec
    from agropest.tuning.ray.connection import RayOptions
    from agropest.tuning.search.generations import Population
    from agropest.tuning.search.suggestions import Suggestions

LOG_COLUMNS = 180
PAGE_REFRESH_S = 10
EXIT_OK, EXIT_TRIALS, EXIT_FAULT, EXIT_INTERRUPTED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line."""
    parser = argparse.ArgumentParser(
        prog="launch.py",
        description="Run the trials of a sweep that are not done yet, rank them, and write the tables.",
        epilog="Exit code: 0 every trial ended well; 1 some trial failed; 2 a fault of the input; 130 interrupted.",
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="the sweep file, e.g. sweeps/demo.yaml")
    parser.add_argument("--plan", action="store_true", help="show the trials and start nothing")
    parser.add_argument(
        "--probe", action="store_true", help="with --plan: measure here how fast the trials are, for the forecast"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start the sweep's trials again; what is stored of them is set aside"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try failed trials again, from their checkpoints")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data set's folder (over the file's `data:`)")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a setting: a Detectron2 key (SOLVER.MAX_ITER=100) or one of the sweep file (resources.cpus=2)",
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="of a running Ray cluster (host:6379, or auto); default: RAY_ADDRESS"
    )
    parser.add_argument(
        "--dashboard",
        action=argparse.BooleanOptionalAction,
        help="Ray's dashboard, on this machine only; default: on where ray[default] is installed",
    )
    parser.add_argument(
        "--dashboard-host",
        metavar="HOST",
        default="127.0.0.1",
        help="let the dashboard listen elsewhere: whoever reaches it can run code here (see docs/clusters.md)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        return launch(arguments)
    except AgropestError as error:
        for line in error.faults:
            print(f"error: {line}", file=sys.stderr)
        return EXIT_FAULT
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error)}", file=sys.stderr)
        return EXIT_FAULT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:  # a full disk, a folder that has gone; what is finished is whole (agropest.files)
        place = str(error.filename or arguments.results)
        fix = "make room or mend that, and launch again: it goes on from what is stored"
        what = error.strerror or str(error)
        print(f"error: {fault(place, 'expected to be able to read and write', what, fix)}", file=sys.stderr)
        return EXIT_FAULT


def launch(arguments: argparse.Namespace) -> int:
    """Plans the sweep; unless only the plan is wanted, runs what is missing and writes the tables."""
    from rich.console import Console

    from agropest.data.anchors.fitted import fitted_anchors
    from agropest.machine import this_machine
    from agropest.planning.capacity import misfits, node_of
    from agropest.planning.sweep_forecast import in_words
    from agropest.report.tables.plan import plan_table
    from agropest.statistics.metric import require_metric
    from agropest.store.completeness import incomplete, is_done
    from agropest.store.lock import only_launch
    from agropest.store.restart import describe_fresh, describe_retry, retry_failed, start_afresh
    from agropest.store.store import Store
    from agropest.sweep.lint import lint
    from agropest.sweep.plan import expand_trials
    from agropest.sweep.sections.guard import require_guards
    from agropest.sweep.spec import load_sweep
    from agropest.tuning.search.suggestions import opened

    console = Console()
    if not console.is_terminal:  # a log file or a pipe: rich would take 80 columns
        console.width = LOG_COLUMNS
    spec = load_sweep(arguments.sweep, arguments.settings)
    root = arguments.data or spec.data
    if root is None:
        fix = "add it, or give --data DIR"
        raise DataError(fault(f"{spec.path}: data", "expected the data set's folder", None, fix))
    store = Store(arguments.results)
    if spec.draws_demo and arguments.data is None:
        draw_missing_demo(root)
    dataset = open_data(root, store, "--data" if arguments.data else f"{spec.path}: data")
    require_metric(spec.metric, dataset.class_names, f"{spec.path}: metric")
    require_guards(spec.guards, dataset.class_names, f"{spec.path}: guard")
    fit_anchors = functools.partial(fitted_anchors, dataset)

    def expand(some: SweepSpec) -> list[TrialSpec]:
        return expand_trials(some, dataset.fingerprint, dataset.class_names, fit_anchors)

    suggestions = opened(spec, expand, store)
    spec = suggestions.sweep() if suggestions else spec
    trials = expand(spec)
    earlier = suggestions.earlier_trials() if suggestions and arguments.fresh else []
    remarks = lint(spec, trials, dataset, idle_of(spec, trials, dataset, store, arguments.plan))
    if arguments.plan:
        if spec.question:
            console.print(spec.question, markup=False, highlight=False)
        pending = [t for t in trials if not is_done(t, store, spec.metric, dataset.splits, spec.stopper)]
        sized, forecast = forecast_of(spec, trials, pending, dataset, store, arguments.probe)
        lacking = incomplete(pending, store, spec.stopper)
        console.print(plan_table(sized, store, spec.baseline, spec.stopper, lacking, forecast))
        console.print(in_words(forecast), markup=False, highlight=False, soft_wrap=True)
        for line in [] if ray_options(arguments).cluster else misfits(pending, [node_of(this_machine())]):
            console.print(f"a launch here would stop: {line}", markup=False, highlight=False, soft_wrap=True)
        if arguments.fresh:
            print(describe_fresh([*earlier, *trials], store, spec.name))
        if arguments.retry_failed:
            print(describe_retry(trials, store))
        show_remarks(remarks, console)
        if suggestions:
            print(suggestions.in_words())
        return EXIT_OK
    show_remarks(remarks, console)
    pending = [t for t in trials if not is_done(t, store, spec.metric, dataset.splits, spec.stopper)]
    if not ray_options(arguments).cluster and (faults := misfits(pending, [node_of(this_machine())])):
        raise EnvironmentFault(*faults)  # before the page of an earlier launch is written over
    with only_launch(store.root, str(arguments.sweep)):
        if arguments.fresh:
            if suggestions:
                suggestions.begin_again()
            print(start_afresh([*earlier, *trials], store, spec.name), flush=True)
        if arguments.retry_failed:
            print(retry_failed(trials, store), flush=True)
        if suggestions and suggestions.next_round():
            spec, trials = suggestions.sweep(), expand(suggestions.sweep())
        return run(spec, trials, dataset, store, ray_options(arguments), console, suggestions)


def draw_missing_demo(folder: Path) -> None:
    """Draws the demo's pictures into a folder that is not there yet; any other is taken as it stands."""
    from agropest.data.demo.draw import draw_demo_dataset

    if not folder.exists():
        print(f"data: drawing the demo's pictures into {folder} (once, about ten seconds)", flush=True)
        draw_demo_dataset(folder)


def open_data(root: Path, store: Store, where: str) -> Dataset:
    """Returns the data set, checked and converted once, and says what it holds.

    Args:
        where: its folder is named.

    Raises:
        DataError: it cannot be read, or lacks a split.
    """
    from agropest.data.health import read_findings
    from agropest.data.opening import open_dataset, require_splits

    try:
        dataset = open_dataset(root, cache_root=store.root / "data")
    except DataError as error:  # of a file in it: that file is named
        faults = (f"{where}: {text}" if text.startswith("data set ") else text for text in error.faults)
        raise DataError(*faults) from None
    require_splits(dataset, ("train", "valid"))
    images = ", ".join(f"{split.num_images} {name}" for name, split in dataset.splits.items())
    num_findings = len(read_findings(dataset.health))
    remark = f"; {num_findings} remarks on it in {dataset.health}" if num_findings else ""
    print(f"data: {root}: {len(dataset.class_names)} classes, images: {images}{remark}", flush=True)
    return dataset


def forecast_of(
    spec: SweepSpec, trials: list[TrialSpec], pending: list[TrialSpec], dataset: Dataset, store: Store, probe: bool
) -> tuple[list[TrialSpec], SweepForecast]:
    """Returns the trials as this machine would run them, and what those that have not ended are expected to take.

    Args:
        pending: those of the trials that are not done.
        probe: whether to measure what was not measured before.
    """
    from agropest.machine import this_machine
    from agropest.planning.sweep_forecast import forecast_sweep
    from agropest.tuning.workers.sizing import Sizing

    say = functools.partial(print, flush=True)
    sizing = Sizing(store, dataset.paths, this_machine(), say)
    if probe:
        pending = sizing.resolve(pending)
        sizing.measure(pending)
    else:
        pending = sizing.resolve_kept(pending)
    for remark in sizing.remarks:
        print(remark)
    sized = {trial.name: trial for trial in pending}
    forecast = forecast_sweep(spec.stop, pending, store, sizing.machine, dataset.num_images, spec.baseline)
    return [sized.get(trial.name, trial) for trial in trials], forecast


def ray_options(arguments: argparse.Namespace) -> RayOptions:
    """Returns which Ray the command line asks for."""
    from agropest.tuning.ray.connection import RayOptions

    return RayOptions(arguments.address, arguments.dashboard, arguments.dashboard_host)


def idle_of(
    spec: SweepSpec, trials: Sequence[TrialSpec], dataset: Dataset, store: Store, is_plan: bool
) -> Mapping[str, Sequence[str]]:
    """Returns the overrides that change nothing, unless the sweep file silences that rule.

    A plan builds every variant all the same, but not again without each of its overrides.

    Raises:
        SweepFileError: Detectron2 cannot build a variant.
    """
    from agropest.sweep.lint import NO_EFFECT
    from agropest.sweep.lint.subject import first_seeds
    from agropest.training.dry_run.remembered_effects import idle_overrides

    is_silent = NO_EFFECT in spec.silence
    if is_silent and not is_plan:
        return {}
    variants = first_seeds(trials)
    baseline = next(trial for trial in variants if trial.label == spec.baseline)
    why = "whether it can be" if is_silent else "what it changes"
    if is_silent:
        variants = [replace(trial, overrides={}) for trial in variants]
    say = functools.partial(print, f"building each of {len(variants)} variants once, to see {why}", flush=True)
    return idle_overrides(variants, baseline, dataset, store.root / "plans", spec.path, say)


def show_remarks(remarks: list[Remark], console: Console) -> None:
    """Prints what the linter has to say, each with the name that silences it, and how that is done."""
    for remark in remarks:
        console.print(f"lint: {remark.text} [{remark.rule}]", markup=False, highlight=False, soft_wrap=True)
    if remarks:
        told = f"lint: a rule that does not apply here is turned off in the sweep file (silence: [{remarks[-1].rule}])"
        console.print(told, markup=False, highlight=False, soft_wrap=True)


def run(
    spec: SweepSpec,
    trials: list[TrialSpec],
    dataset: Dataset,
    store: Store,
    ray: RayOptions,
    console: Console,
    suggestions: Suggestions | Population | None = None,
) -> int:
    """Runs what is missing, round after round where variants are suggested; writes the tables, shows the ranking."""
    from agropest.analysis.ranking import rank_trials
    from agropest.analysis.sweep_comparison import compare_trials
    from agropest.report.console_summary import print_ending
    from agropest.report.export import write_exports
    from agropest.report.page.document import write_page
    from agropest.report.tensorboard import write_tensorboard
    from agropest.store.sweep_record import describe_sweep, write_sweep_record
    from agropest.tuning.run import run_trials
    from agropest.tuning.spending import Spending
    from agropest.tuning.watch.watch import Rewritten

    folder = store.sweep_folder(spec.name)
    spending = Spending(spec.budget)
    while True:
        if suggestions:
            print(suggestions.in_words(), flush=True)
        record = describe_sweep(spec, trials, dataset)
        write_sweep_record(record, store)  # what export needs, were this killed
        write_events = functools.partial(write_tensorboard, trials, store, folder / "tensorboard", spec.metric)
        show = functools.partial(write_page, record, store, running=True, refresh_s=PAGE_REFRESH_S)
        events = Rewritten("the TensorBoard runs", write_events, period_s=10)
        page = Rewritten("the page", show, period_s=PAGE_REFRESH_S)
        try:
            outcome = run_trials(spec, trials, dataset, store, ray, [events, page], spending)
        except BaseException as error:
            events.wait()
            page.wait()
            with contextlib.suppress(Exception):
                if store.is_there():  # a results folder that has gone does not come back with a page in it
                    why = str(error) if isinstance(error, AgropestError) else ""
                    write_page(record, store, running=True, problem=why)  # it loads itself no more
            raise
        page.wait()  # it is written once more with what the comparison says
        if problem := events.finish():
            print(problem)
        if outcome.interrupted or outcome.spent or suggestions is None or not suggestions.next_round():
            break
        spec = suggestions.sweep()
        trials = suggestions.expand(spec)
    truths = record.ground_truths()
    comparison = compare_trials(trials, store, truths, spec.metric, spec.baseline, spec.guards, design=spec.design)
    rows = rank_trials(trials, store, spec.metric, comparison.damaged)
    write_exports(record, store, comparison, rows)
    print_ending(console, spec, rows, comparison, folder)
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    if outcome.spent:
        left = [f"{row.label}/s{row.seed}" for row in rows if row.status not in ("finished", "stopped", "failed")]
        names = ", ".join(left[:10]) + (", ..." if len(left) > 10 else "")
        if left:
            print(f"budget: {outcome.spent} is spent; {len(left)} trials are left: {names}; the same command goes on")
        elif suggestions is not None and not suggestions.is_complete:
            print(f"budget: {outcome.spent} is spent; {suggestions.in_words()}; the same command goes on")
        return EXIT_TRIALS if any(row.status == "failed" for row in rows) else EXIT_OK
    return EXIT_OK if outcome.all_ended_well and not comparison.damaged else EXIT_TRIALS


if __name__ == "__main__":
    sys.exit(main())
