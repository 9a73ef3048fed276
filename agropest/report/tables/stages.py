"""Which parts of a sweep's trainings are trained once for several trials, in words, for the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.stages.forward import forward_key
from agropest.sweep.stages.tree import Stage, StageTree
from agropest.sweep.trial import TrialSpec


def stages_in_words(tree: StageTree, trials: Sequence[TrialSpec]) -> list[str]:
    """Returns how many iterations sharing saves, then each shared part; nothing where no trial shares any.

    Args:
        tree: of ``trials``.
        trials: of the sweep.
    """
    saved = tree.num_iters_unshared - tree.num_iters
    if not saved:
        return []
    by_signature = {trial.signature: trial for trial in reversed(trials)}
    seeds: dict[str, list[int]] = {}
    for stage in tree.stages:
        if stage.is_shared:
            its = [by_signature[signature] for signature in stage.trials]
            seeds.setdefault(_part(stage, its), []).append(its[0].seed)
    first = (
        f"shared trainings: {tree.num_iters:,} iterations are trained for {tree.num_iters_unshared:,}, because "
        f"{saved:,} are the same as another trial's"
    )
    return [first, *(f"  {part} ({_seeds(its)})" for part, its in seeds.items())]


def evaluations_in_words(trials: Sequence[TrialSpec]) -> list[str]:
    """Returns how many trials evaluate trained weights, and how many forward passes that takes; nothing without any."""
    evaluations = [trial for trial in trials if trial.evaluates is not None]
    if not evaluations:
        return []
    forwards = len({forward_key(trial) for trial in evaluations})
    shared = f"with {forwards} forward {'pass' if forwards == 1 else 'passes'}"
    trials_train = "1 trial trains" if len(evaluations) == 1 else f"{len(evaluations)} trials train"
    return [f"evaluations of trained weights: {trials_train} nothing, {shared} over each split"]


def extensions_in_words(
    sources: Mapping[str, str], trials: Sequence[TrialSpec], reached: Mapping[str, int], store: Store
) -> list[str]:
    """Returns for each trial of ``extend:`` that waits to be run where it continues from.

    Args:
        sources: label of a longer variant to that of the one that it continues from.
        trials: of the sweep.
        reached: trial name to the iteration up to which it takes over what is stored.
    """
    shorter = {(trial.label, trial.seed): trial for trial in trials}
    lines = []
    for trial in trials:
        source = shorter.get((sources.get(trial.label, ""), trial.seed))
        if source is None or store.folder(trial).status().status is not TrialState.NEW:
            continue
        at = reached.get(trial.name, 0)
        if at >= source.max_iter:
            lines.append(f"{trial.name}: continues from {source.name}, whose {at:,} iterations are stored")
        elif store.folder(source).status().status is TrialState.FINISHED:
            gone = f"the checkpoint at the end of {source.name} is not there any more"
            lines.append(f"{trial.name}: {gone}, so it trains from iteration {at:,}")
        else:
            lines.append(f"{trial.name}: continues from {source.name} once that has trained {source.max_iter:,}")
    return lines


def _part(stage: Stage, trials: Sequence[TrialSpec]) -> str:
    labels = ", ".join(dict.fromkeys(trial.label for trial in trials))
    return f"iterations {stage.start:,} to {stage.end:,}: {labels}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
