"""Every error that is the user's to mend.

    AgropestError                 one or more faults, each a line "where: rule, got value; fix"
    ├── SweepFileError            a sweep file, --set or a Detectron2 override (also a ValueError)
    ├── DataError                 a data set, its labels or images             (also a ValueError)
    ├── StoreError                the results folder                           (also an OSError)
    ├── EnvironmentFault          Detectron2, weights, GPU or a package is missing
    ├── ChangedInput              pictures or weights are not those of the plan     (also an OSError)
    └── TrialError                a trial failed by its own doing (NaN loss, bad config); never retried

Only the command line catches them: it prints the faults, one a line, and exits with 2. A fault is built with
:func:`fault`, so that all of them read alike.
"""

from __future__ import annotations

import difflib
import errno
import reprlib
import sys
from collections.abc import Collection, Iterable
from pathlib import PurePath

OUT_OF_GPU_MEMORY = (
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # cublasCreate finds no room for its workspace
    "CUDNN_STATUS_ALLOC_FAILED",
)


class AgropestError(Exception):
    """One or more faults.

    Args:
        faults: one line each, as :func:`fault` writes them.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults: tuple[str, ...] = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class SweepFileError(AgropestError, ValueError):
    """A sweep file, a ``--set`` or a Detectron2 override is not valid."""


class DataError(AgropestError, ValueError):
    """A data set is missing, or cannot be used as it is."""


class StoreError(AgropestError, OSError):
    """The results folder cannot be written or read, or somebody else is writing there."""

    def __str__(self) -> str:  # OSError's own __str__ would print a two-fault error as "[Errno …]".
        return "\n".join(self.faults)


class EnvironmentFault(AgropestError):
    """Something that the machine must offer is missing: Detectron2, weights, a GPU, an optional package."""


class ChangedInput(AgropestError, OSError):
    """A picture, the converted annotations or the initial weights are not what the trial's signature was computed from.

    No trial fails by it: the launch ends, and continues once the right files are back.
    """

    def __init__(self, *faults: str) -> None:
        AgropestError.__init__(self, *faults)
        self.errno = errno.ESTALE

    def __str__(self) -> str:
        return "\n".join(self.faults)


class TrialError(AgropestError):
    """A trial failed by its own doing, so that running it again would fail again."""


def missing_package(error: ModuleNotFoundError) -> EnvironmentFault:
    """Returns the fault of a Python that lacks a package of requirements.txt.

    Raises:
        ModuleNotFoundError: what is missing is a module of this project.
    """
    name = str(error.name).partition(".")[0]
    if name == __name__.partition(".")[0]:
        raise error
    fix = "activate the environment that has them (`make demo` makes one: . .venv/bin/activate)"
    return EnvironmentFault(fault(sys.executable, "expected the packages of requirements.txt", f"no {name}", fix))


def is_out_of_gpu_memory(error: BaseException) -> bool:
    """Returns whether a GPU had too little memory; PyTorch's libraries say so in several ways, not all as its own."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_GPU_MEMORY)
    )


def fault(where: str, rule: str, value: object, fix: str) -> str:
    """Returns the one line that states a fault: ``where: rule, got value; fix``; line ends in it are escaped.

    Args:
        where: file and key, or folder; for example ``sweeps/a.yaml: variants.multi.SOLVER.BASE_LR``.
        rule: what must hold; for example ``expected a positive number``.
        value: what was there instead. Strings and paths are quoted, long values are cut.
        fix: what to do about it.
    """
    try:
        shown = repr(str(value) if isinstance(value, PurePath) else value)
    except RecursionError:  # lists in lists in lists
        shown = reprlib.repr(value)
    if len(shown) > 160:
        shown = shown[:157] + "..."
    line = f"{where}: {rule}, got {shown}; {fix}"
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns ``did you mean 'X'?`` for the known word most like ``word``, or a list of some known words."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not close:  # the wrong half of a dotted key is often its prefix
        tail = word.rsplit(".", 1)[-1]
        close = [w for w in words if w.rsplit(".", 1)[-1] == tail][:1]
    if close:
        return f"did you mean '{close[0]}'?"
    listed = ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
    return f"known here: {listed}" if words else "nothing is allowed here"


def named_once(faults: Iterable[tuple[str, str]], everybody: Collection[str], everyone: str) -> list[str]:
    """Returns ``names: text`` for every text, each text once with all the names that it is said of.

    Args:
        faults: name and text.
        everybody: all the names that there are.
        everyone: what they are together, e.g. ``every variant``.
    """
    by_text: dict[str, list[str]] = {}
    for name, text in faults:
        by_text.setdefault(text, []).append(name)
    lines = []
    for text, names in by_text.items():
        its = list(dict.fromkeys(names))
        shown = everyone if len(everybody) > 1 and set(its) >= set(everybody) else ", ".join(its)
        lines.append(f"{shown}: {text}")
    return lines
