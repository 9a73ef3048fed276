"""``launch``: runs the trials of a sweep that are not done yet, ranks them and writes the tables."""

from __future__ import annotations

import argparse
import contextlib
import functools
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agropest import __version__, exit_codes
from agropest.commands.sweeps import add_sweep_options, launch_options
from agropest.commands.sweeps.plan import show_plan
from agropest.errors import AgropestError, EnvironmentFault

if TYPE_CHECKING:
    from rich.console import Console

    from agropest.store.sweep_record import SweepRecord
    from agropest.tuning.launch import Launch, LaunchOptions
    from agropest.tuning.run import Outcome
    from agropest.tuning.watch.watch import Rewritten

HELP = "run the trials of a sweep that are not done yet, rank them, and write the tables"
ALIASES = ("run",)
EPILOG = exit_codes.OF_LAUNCH
PAGE_REFRESH_S = 10


def configure(parser: argparse.ArgumentParser) -> None:
    add_sweep_options(parser)
    parser.add_argument("--plan", action="store_true", help="show the trials and start nothing")
    parser.add_argument(
        "--probe", action="store_true", help="with --plan: measure here how fast the trials are, for the forecast"
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
    parser.add_argument(
        "--mirror",
        metavar="ADDRESS",
        help="copy the results folder to object storage while the sweep runs, and bring it back before (s3://bucket/path)",
    )


def run(arguments: argparse.Namespace) -> int:
    from agropest.report.console import new_console, said_throughout
    from agropest.store.mirroring.mirrored import mirrored
    from agropest.sweep.spec import load_sweep

    console, options = new_console(), launch_options(arguments)
    if arguments.plan:
        launch = _opened(options, console)
        show_plan(launch, console, arguments.probe, arguments.fresh, arguments.retry_failed)
        return exit_codes.OK
    address = arguments.mirror or load_sweep(options.sweep, options.settings).mirror
    with said_throughout() as say, mirrored(options.results, address, say):
        return _run(_opened(options, console), arguments, console)


def _opened(options: LaunchOptions, console: Console) -> Launch:
    """Opens a launch, and says which run of its sweep it is."""
    from agropest.report.console import print_sentence
    from agropest.tuning.launch import open_launch

    launch = open_launch(options)
    for line in launch.run.in_words(launch.folder):
        print_sentence(console, line)
    return launch


def _run(launch: Launch, arguments: argparse.Namespace, console: Console) -> int:
    """Runs a launch that is not only to be planned."""
    from agropest.report.tables.plan import print_remarks
    from agropest.store.lock import only_launch
    from agropest.store.upkeep.printed_remarks import note_printed, read_printed
    from agropest.store.upkeep.run_folder import require_own_page

    lint_remarks = launch.lint()
    printed = [read_printed(launch.store.sweep_folder(name)) for name in {launch.folder.name, launch.run.sweep} if name]
    print_remarks(lint_remarks, console, frozenset().union(*printed))
    if lacking := launch.unplaceable(arguments.fresh, arguments.retry_failed):
        raise EnvironmentFault(*lacking)  # before the page of an earlier launch is written over
    with only_launch(launch.store.root, str(arguments.sweep)):
        # Again: another launch may have held the folder, and made a page there, since this one was opened.
        require_own_page(launch.spec, launch.trials, launch.run, launch.dataset, launch.store)
        note_printed(launch.folder, [remark.text for remark in lint_remarks])
        launch = _changed_store(launch, arguments.fresh, arguments.retry_failed)
        if launch.missing_checkpoints:
            raise EnvironmentFault(*launch.missing_checkpoints)
        return _run_rounds(launch.next_round() or launch, console)


def _changed_store(launch: Launch, fresh: bool, retry: bool) -> Launch:
    """Does to the store what ``--fresh`` and ``--retry-failed`` ask for; returns the launch that follows from it."""
    from agropest.store.upkeep.restart import retry_failed, start_fresh

    if fresh:
        trials = launch.all_trials
        if launch.search:
            launch.search.restart()
        print(start_fresh(trials, launch.store, launch.spec.name), flush=True)
    if retry:
        print(retry_failed(launch.trials, launch.store), flush=True)
    return launch.reread()


def _run_rounds(launch: Launch, console: Console) -> int:
    """Runs what is missing, round after round where a search suggests trials; then writes and shows the results."""
    from agropest.report.console import print_sentence
    from agropest.store.sweep_record import describe_sweep, write_sweep_record
    from agropest.store.upkeep.launch_history import PastLaunch, note_launch
    from agropest.tuning.run import run_trials
    from agropest.tuning.spending import Spending

    spending = Spending(launch.spec.budget)
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    note_launch(launch.folder, PastLaunch(begun, __version__, len(launch.trials)))
    while True:
        if launch.search:
            print_sentence(console, launch.search.in_words())
        sets = launch.training_sets.splits
        record = describe_sweep(launch.spec, launch.trials, launch.dataset, sets, launch.run)
        write_sweep_record(record, launch.store)  # what export needs, were this launch killed
        with _written_meanwhile(launch, record) as onlookers:
            outcome = run_trials(launch, onlookers, spending)
        following = None if outcome.interrupted or outcome.spent else launch.next_round()
        if following is None:
            with _said_where_interrupted(launch.folder):
                return _show_results(*_with_ended_seeds(launch, record), outcome, console)
        launch = following


@contextlib.contextmanager
def _said_where_interrupted(folder: Path) -> Iterator[None]:
    """Says what Ctrl-C leaves out while the tables are made."""
    try:
        yield
    except KeyboardInterrupt:
        command = f"python -m agropest export {shlex.quote(str(folder))}"
        print(f"interrupted before all tables were written: {command} writes them; nothing of the trials is lost")
        raise


def _with_ended_seeds(launch: Launch, record: SweepRecord) -> tuple[Launch, SweepRecord]:
    """Returns what is shown: where a round of seeds was cut short, the round before it."""
    from agropest.store.sweep_record import describe_sweep, write_sweep_record

    ended = launch.last_ended_round()
    if ended is None:
        return launch, record
    record = describe_sweep(ended.spec, ended.trials, ended.dataset, launch.training_sets.splits, launch.run)
    write_sweep_record(record, launch.store)
    print("the tables are of the seeds whose round has ended; the next round's count once all of it has", flush=True)
    return ended, record


@contextlib.contextmanager
def _written_meanwhile(launch: Launch, record: SweepRecord) -> Iterator[Sequence[Rewritten]]:
    """Yields what writes the page and the TensorBoard runs while the trials run, and writes them a last time."""
    from agropest.report.page.document import write_page
    from agropest.report.tensorboard import write_tensorboard
    from agropest.tuning.watch.watch import Rewritten

    store, metric = launch.store, launch.spec.metric
    write_events = functools.partial(write_tensorboard, launch.trials, store, launch.folder / "tensorboard", metric)
    show = functools.partial(write_page, record, store, running=True, refresh_s=PAGE_REFRESH_S)
    events = Rewritten("the TensorBoard runs", write_events, period_s=10)
    page = Rewritten("the page", show, period_s=PAGE_REFRESH_S)
    try:
        yield [events, page]
    except BaseException as error:
        events.wait()
        page.wait()
        with contextlib.suppress(Exception):
            if store.is_there():  # a results folder that has gone does not come back with a page in it
                why = str(error) if isinstance(error, AgropestError) else ""
                write_page(record, store, running=True, problem=why)  # without the reload of a page that is live
        raise
    page.wait()  # it is written once more with what the comparison says
    if problem := events.finish():
        print(problem)


def _show_results(launch: Launch, record: SweepRecord, outcome: Outcome, console: Console) -> int:
    """Compares and ranks what is stored, writes the tables and prints the ranking; returns the exit code."""
    from agropest.analysis.ranking import rank_trials
    from agropest.analysis.sweep_comparison import compare_record
    from agropest.report.console_summary import print_summary
    from agropest.report.export import write_exports
    from agropest.store.records import TrialState
    from agropest.store.upkeep.launch_history import note_end

    spec, store = launch.spec, launch.store
    comparison = compare_record(record, store)
    rows = rank_trials(launch.trials, store, spec.metric, comparison.damaged)
    write_exports(record, store, comparison, rows)
    statuses = Counter(row.status for row in rows)
    note_end(launch.folder, ", ".join(f"{count} {status}" for status, count in statuses.items()))
    print_summary(console, spec, rows, comparison, launch.folder)
    if outcome.interrupted:
        return exit_codes.of_signal(outcome.signal_number)
    if outcome.spent:
        left = [f"{row.label}/s{row.seed}" for row in rows if not row.status.has_ended]
        names = ", ".join(left[:10]) + (", ..." if len(left) > 10 else "")
        if left:
            print(f"budget: {outcome.spent} is spent; {len(left)} trials are left: {names}; the same command continues")
        elif launch.search is not None and not launch.search.is_complete:
            print(f"budget: {outcome.spent} is spent; {launch.search.in_words()}; the same command continues")
        has_failed = any(row.status == TrialState.FAILED for row in rows)
        return exit_codes.TRIALS_FAILED if has_failed or comparison.damaged else exit_codes.OK
    return exit_codes.OK if outcome.all_ended_well and not comparison.damaged else exit_codes.TRIALS_FAILED
