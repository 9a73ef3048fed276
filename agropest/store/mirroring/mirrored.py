"""A launch whose results folder is mirrored: brought back before it, copied while it runs and when it ends."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from agropest.errors import StoreError, fault
from agropest.store.lock import only_launch
from agropest.store.mirroring.mirror import Mirror, MirrorTaken

logger = logging.getLogger(__name__)

PERIOD_S = 10.0
MOST_NAMED = 3

Say = Callable[[str], object]


@contextlib.contextmanager
def mirrored(root: Path, address: str, say: Say) -> Iterator[None]:
    """Mirrors a results folder for the time of a launch; nothing where the address is empty.

    Args:
        root: the results folder; is made when missing.
        address: see :class:`Mirror`.
        say: is told what a person must know.

    Raises:
        EnvironmentFault: the far side cannot be read.
        StoreError: another launch holds the folder, or it cannot be written to.
    """
    if not address:
        yield
        return
    mirror = Mirror(root, address)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "give another folder with --results, or make room there"
        raise StoreError(fault(str(root), "expected a folder to write to", error.strerror, fix)) from None
    with only_launch(root, f"bringing back {address}"):
        found = mirror.bring_back()
    if found.num_files:
        say(f"mirror: {found.num_files} files brought back from {address}")
    if found.lost:
        names = ", ".join(found.lost[:MOST_NAMED]) + (", ..." if len(found.lost) > MOST_NAMED else "")
        say(f"mirror: {len(found.lost)} files are damaged or missing at {address} and are made again: {names}")
    copying = _Copying(mirror, say)
    thread = threading.Thread(target=copying.run, daemon=True, name="mirror")
    thread.start()
    try:
        yield
    finally:
        copying.ended.set()
        thread.join()
        copying.finish()


class _Copying:
    """Copies what has changed, round after round; says once that it cannot, and once that it can again.

    Attributes:
        ended: set: no further round begins.
    """

    def __init__(self, mirror: Mirror, say: Say) -> None:
        self._mirror, self._say = mirror, say
        self._is_failing, self._is_taken = False, False
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(PERIOD_S) and not self._is_taken:
            self._round()

    def finish(self) -> None:
        """Copies a last time, when nothing is written any more."""
        if not self._is_taken and not self._round():
            self._say(f"mirror: {self._mirror.address} lacks what was stored last; the next launch here copies it")

    def _round(self) -> bool:
        """Returns whether the far side has all there is."""
        try:
            self._mirror.upload()
        except MirrorTaken:
            self._is_taken = True
            self._say(
                f"mirror: another launch writes to {self._mirror.address}: this one does not any more, and its results "
                "are only here; give each results folder an address of its own"
            )
            return True
        except OSError as error:
            logger.warning("mirror", exc_info=True)
            if not self._is_failing:
                self._is_failing = True
                self._say(
                    f"mirror: cannot write to {self._mirror.address}: {error}; the sweep continues, and it is tried "
                    f"again every {PERIOD_S:g} s"
                )
            return False
        if self._is_failing:
            self._is_failing = False
            self._say(f"mirror: {self._mirror.address} has everything again")
        return True
