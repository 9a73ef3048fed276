"""With what this project's processes exit: every code, declared once."""

from __future__ import annotations

import signal

# Of a command.
OK, TRIALS_FAILED, FAULT, BY_PERSON, BY_MACHINE = 0, 1, 2, 130, 143
# Of a trial's process, where no exception could end it.
LOST, OUT_OF_GPU_MEMORY, FAILED, CHANGED_INPUT = 75, 76, 77, 78
# With which a variant's command says that the machine kept it from continuing (sysexits.h: EX_TEMPFAIL).
TRY_AGAIN = 75

OF_LAUNCH = (
    f"Exit code: {OK} every trial ended well; {TRIALS_FAILED} some trial failed; {FAULT} the input or the machine is "
    f"at fault; {BY_PERSON} interrupted; {BY_MACHINE} ended by SIGTERM or SIGUSR1."
)


def of_signal(number: int) -> int:
    """Returns the exit code of a launch that a signal has ended: the machine wants its place back, or a person."""
    return BY_MACHINE if number in (signal.SIGTERM, signal.SIGUSR1) else BY_PERSON
