"""Which trials wait for their machine: their relays tell it through Ray, because the disk may be what is full."""

from __future__ import annotations

import contextlib

NAMESPACE = b"agropest"
PREFIX = b"waits/"


def tell_waiting(trial: str, reason: str) -> None:
    """Tells the driver why a trial waits before it is tried again; an empty reason: it no longer does."""
    from ray.experimental import internal_kv

    key = PREFIX + trial.encode()
    with contextlib.suppress(Exception):  # it is for looking at only
        if reason:
            internal_kv._internal_kv_put(key, reason.encode(), overwrite=True, namespace=NAMESPACE)
        else:
            internal_kv._internal_kv_del(key, namespace=NAMESPACE)


def waiting() -> dict[str, str]:
    """Returns the trials that wait, each with its reason."""
    from ray.experimental import internal_kv

    found = {}
    with contextlib.suppress(Exception):
        for key in internal_kv._internal_kv_list(PREFIX, namespace=NAMESPACE):
            reason = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
            if reason:
                found[key.removeprefix(PREFIX).decode()] = reason.decode()
    return found
