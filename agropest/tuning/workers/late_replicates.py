"""The replicates of a trial that has finished on a card, computed after it has given its share of the card back.

They take seconds of one core (minutes where there are thousands of images and hundreds of classes), and nothing of the
card. Whoever ranks the trial before they are there computes them: nothing waits for this process.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from multiprocessing.connection import Connection

from agropest import exit_codes
from agropest.store.trial_folder import TrialFolder
from agropest.tuning.workers import child

NICENESS = 19  # trials that train go first


def start(job: child.Job) -> None:
    """Starts a process that computes and keeps the replicates of a finished trial; returns at once."""
    _, connection = child.fork(_main, (job,), f"{job.trial.name} replicates")
    connection.close()


def _main(job: child.Job, connection: Connection) -> None:
    os.setsid()  # it outlives the actor
    os.nice(NICENESS)
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.close()
    folder = TrialFolder(job.folder)
    child.log_to(folder)
    try:
        from agropest.training.kinds import keep_replicates_of_any

        keep_replicates_of_any(job.trial, folder, job.context)
    except Exception:
        logging.getLogger(__name__).exception("the replicates are left to the ranking")
    logging.shutdown()
    os._exit(exit_codes.OK)
