"""A trial's part of a card's memory: held against it, and waited for until the trial before has left."""

from __future__ import annotations

import logging
import time

import torch

logger = logging.getLogger(__name__)

# What a process has on a card beside torch's blocks: the CUDA context and its libraries (0.3 to 0.6 GiB, by card).
# `set_per_process_memory_fraction` does not count it: shares that fill the card would not fit with it.
CONTEXT_BYTES = 600 << 20
# A trial that makes way saves a checkpoint first. Whoever follows waits for that, but not for what never leaves.
WAIT_S = 30.0
FREE = 0.8
POLL_S = 0.5


def take_share(share: float, wait_s: float = WAIT_S) -> None:
    """Limits what torch may allocate on this process's card, once that much of it is free.

    Args:
        share: of the card, (0, 1]; the context's part comes out of it. 1 sets no limit.
        wait_s: for ``FREE`` of the share to become free, at most; the trial begins all the same after that.
    """
    until = time.monotonic() + wait_s
    free, total = torch.cuda.mem_get_info()
    while free < FREE * share * total and time.monotonic() < until:
        time.sleep(POLL_S)
        free, total = torch.cuda.mem_get_info()
    if free < FREE * share * total:
        logger.warning("%.1f of %.1f GiB of the card are free; continuing", free / 2**30, total / 2**30)
    if share < 1:
        torch.cuda.set_per_process_memory_fraction(max(share - CONTEXT_BYTES / total, share / 2))
