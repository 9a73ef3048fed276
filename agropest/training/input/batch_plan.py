"""Which images each batch holds: a pure function of (seed, batch number), found without walking there. numpy only.

Epochs follow one another. The images of an epoch are dealt, in the sampler's order, to one open batch per group, and a
batch comes when it is full. What is open at the end of an epoch is filled up in the next one: nothing is lost or shown
twice. So with B images in a batch and S(g, e) images of group g shown before epoch e,

1. sum over g of floor(S(g, e) / B) batches come before epoch e,
2. S(g, e) mod B images of group g are open when it starts, and they are the last of that group before it,

and a batch needs the counts of the epochs before it, but the order of its own epoch and the one before only.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from agropest.training.input.samplers import EpochSampler

CACHED_EPOCHS = 3


class BatchPlan:
    """The images of every batch.

    Args:
        sampler: the images of every epoch; every epoch shows at least one.
        batch_size: images in a batch.
        groups: of each image, from 0; a batch holds images of one group (aspect-ratio grouping).
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, groups: Sequence[int]) -> None:
        self._sampler, self._batch_size = sampler, batch_size
        self._groups = np.asarray(groups, dtype=np.int64)
        self._num_groups = int(self._groups.max()) + 1
        self._per_epoch = self._count(0)
        # Of epochs whose length is drawn: S(., e) and the number of batches before e, as far as anybody asked.
        self._shown = [np.zeros(self._num_groups, dtype=np.int64)]
        self._before = [0]
        self._cache: dict[int, np.ndarray] = {}

    def batch(self, n: int) -> list[int]:
        """Returns the image indices of batch ``n``, counted from 0."""
        epoch = self._epoch_of(n)
        if epoch not in self._cache:
            if len(self._cache) >= CACHED_EPOCHS:
                del self._cache[next(iter(self._cache))]
            self._cache[epoch] = self._batches(epoch)
        indices: list[int] = self._cache[epoch][n - self._num_before(epoch)].tolist()
        return indices

    def _epoch_of(self, n: int) -> int:
        """Returns the epoch in which batch ``n`` is filled."""
        if not self._sampler.is_constant:
            while self._before[-1] <= n:
                self._extend()
            return bisect.bisect_right(self._before, n) - 1
        # No more batches than this many epochs hold come before it; groups leave a batch open each, so look a bit on.
        epoch = n * self._batch_size // int(self._per_epoch.sum())
        while self._num_before(epoch + 1) <= n:
            epoch += 1
        return epoch

    def _shown_before(self, epoch: int) -> np.ndarray:
        if self._sampler.is_constant:
            return epoch * self._per_epoch
        while len(self._shown) <= epoch:
            self._extend()
        return self._shown[epoch]

    def _num_before(self, epoch: int) -> int:
        return int((self._shown_before(epoch) // self._batch_size).sum())

    def _extend(self) -> None:
        self._shown.append(self._shown[-1] + self._count(len(self._shown) - 1))
        self._before.append(int((self._shown[-1] // self._batch_size).sum()))

    def _count(self, epoch: int) -> np.ndarray:
        counts = np.bincount(self._groups, weights=self._sampler.times(epoch), minlength=self._num_groups)
        return counts.astype(np.int64)

    def _batches(self, epoch: int) -> np.ndarray:
        """Returns the batches that are filled in an epoch, in the order they are: [number, batch size]."""
        order = self._sampler.order(epoch)
        rows, filled_at = [], []
        for group, num_open in enumerate(self._shown_before(epoch) % self._batch_size):
            places = np.flatnonzero(self._groups[order] == group)
            dealt = np.concatenate([self._last(group, int(num_open), epoch), order[places]])
            num_full = len(dealt) // self._batch_size
            rows.append(dealt[: num_full * self._batch_size].reshape(num_full, self._batch_size))
            filled_at.append(places[np.arange(1, num_full + 1) * self._batch_size - num_open - 1])
        return np.concatenate(rows)[np.argsort(np.concatenate(filled_at))]

    def _last(self, group: int, number: int, epoch: int) -> np.ndarray:
        """Returns the last ``number`` images of a group that were shown before an epoch."""
        found = np.zeros(0, dtype=np.int64)
        while len(found) < number:  # one step back unless the whole set is smaller than a batch
            epoch -= 1
            order = self._sampler.order(epoch)
            found = np.concatenate([order[self._groups[order] == group], found])
        return found[len(found) - number :]
