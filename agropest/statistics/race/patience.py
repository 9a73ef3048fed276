"""``TEST.PATIENCE``: a training ends once its validation AP has not risen for so many evaluations.

Unlike a rule of ``stop:`` it looks at one training alone, so its end is a function of that training: the same in every
sweep and every launch, and as final as the end of the schedule.
"""

from __future__ import annotations

from collections.abc import Iterable

KEY = "TEST.PATIENCE"


def has_run_out(values: Iterable[float | None], patience: int) -> bool:
    """Returns whether the last ``patience`` evaluations have all failed to exceed the best one before them.

    Args:
        values: validation AP at each evaluation so far, in order; None (nothing to find there) says nothing, so it
            neither rises nor counts.
        patience: 0: it never runs out.
    """
    best, waited = float("-inf"), 0
    for value in values:
        if value is None:
            continue
        best, waited = (value, 0) if value > best else (best, waited + 1)
    return 0 < patience <= waited


def end_in_words(iteration: int, max_iter: int, patience: int) -> str:
    """Returns the note of a training that ended so."""
    return f"ended after iteration {iteration} of {max_iter}: validation AP had not risen for {spell(patience)} ({KEY})"


def spell(patience: int) -> str:
    """Returns the number of evaluations in words."""
    return "1 evaluation" if patience == 1 else f"{patience} evaluations"
