"""``plan``: what a launch of a sweep would do, how long that takes, and what the linter remarks."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from agropest.commands.sweeps import add_sweep_options, launch_options

if TYPE_CHECKING:
    from rich.console import Console

    from agropest.planning.sweep_forecast import SweepForecast
    from agropest.tuning.launch import Launch

HELP = "show the trials of a sweep, how long they take and what is missing for them; start nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    add_sweep_options(parser)
    parser.add_argument("--probe", action="store_true", help="measure here how fast the trials are, for the forecast")


def run(arguments: argparse.Namespace) -> int:
    from agropest.report.console import new_console, print_sentence
    from agropest.tuning.launch import open_launch

    console = new_console()
    launch = open_launch(launch_options(arguments))
    for line in launch.run.in_words(launch.folder):
        print_sentence(console, line)
    show_plan(launch, console, arguments.probe, arguments.fresh, arguments.retry_failed)
    return 0


def show_plan(launch: Launch, console: Console, probe: bool, fresh: bool, retry_failed: bool) -> None:
    """Prints the plan of a launch, top to bottom: question, trials, time, what is missing here, remarks.

    Args:
        launch: is not started.
        probe: whether to measure what was not measured before.
        fresh: whether to say what starting again would set aside.
        retry_failed: whether to say what would be tried again.
    """
    from agropest.planning.early_stopping import patience_in_words
    from agropest.planning.sweep_forecast import in_words
    from agropest.report.console import print_sentence
    from agropest.report.tables.plan import plan_table, print_remarks
    from agropest.report.tables.stages import evaluations_in_words, stages_in_words
    from agropest.store.completeness import incomplete
    from agropest.store.upkeep.restart import describe_fresh, describe_retry
    from agropest.sweep.stages.tree import stage_tree

    show = functools.partial(print_sentence, console)
    spec, store = launch.spec, launch.store
    if spec.question:
        show(spec.question)
    sized, forecast = launch.forecast(probe)
    lacking = incomplete(launch.pending, store, spec.stopper)
    console.print(plan_table(sized, store, spec.baseline, spec.stopper, lacking, forecast))
    shared = [*stages_in_words(stage_tree(launch.trials), launch.trials), *evaluations_in_words(launch.trials)]
    shared += launch.extensions_in_words()
    for line in [*shared, in_words(forecast)]:
        show(line)
    for line in (launch.why_nothing_stops, patience_in_words(launch.trials)):
        if line:
            show(line)
    for line in _answer_cost(launch, forecast):
        show(line)
    missing = [] if fresh else launch.missing_checkpoints
    for line in [*launch.unplaceable(fresh, retry_failed), *missing]:
        show(f"a launch here would stop: {line}")
    if fresh:
        show(describe_fresh(launch.all_trials, store, spec.name))
    if retry_failed:
        show(describe_retry(launch.trials, store))
    print_remarks(launch.lint(build_silenced=True), console)
    if launch.search:
        show(launch.search.in_words())


def _answer_cost(launch: Launch, forecast: SweepForecast) -> list[str]:
    """Returns how many seeds and hours differences of some sizes cost; nothing where nothing is compared."""
    from agropest.planning.answer_cost import in_words, seed_spread

    spec, trials = launch.spec, launch.trials
    labels = {trial.label for trial in trials}
    if len(labels) < 2 or not spec.metric.startswith("AP"):
        return []
    spread = seed_spread(trials, launch.store, spec.baseline, spec.metric, spec.stop.seed_noise)
    total = sum(one.seconds or 0.0 for one in forecast.trials)
    slots = total / forecast.wall_s if forecast.wall_s else 1.0
    return in_words(spread, launch.dataset.num_images["valid"], forecast.seconds_of_variants(trials), slots)
