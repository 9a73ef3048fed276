"""Which parts of a sweep's trainings are trained once for several trials, in words, for the plan."""

from __future__ import annotations

from collections.abc import Sequence

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


def _part(stage: Stage, trials: Sequence[TrialSpec]) -> str:
    labels = ", ".join(dict.fromkeys(trial.label for trial in trials))
    return f"iterations {stage.start:,} to {stage.end:,}: {labels}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
