"""Which anchors and proposals are trained on: Detectron2's draws, with one host read for all images."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """What was drawn of a batch.

    Attributes:
        positive: of each image, columns of the whole batch, in the order of the draw.
        negative: likewise.
    """

    positive: tuple[Tensor, ...]
    negative: tuple[Tensor, ...]

    @property
    def num_positive(self) -> int:
        """Positive columns of all images."""
        return sum(len(one) for one in self.positive)


def draw(
    positive: Tensor, negative: Tensor, lengths: Sequence[int], num_samples: int, positive_fraction: float
) -> Sample:
    """Returns a sample, drawn from torch's generator as ``detectron2.modeling.sampling.subsample_labels`` draws it.

    Args:
        positive: bool, for each column of the batch.
        negative: likewise.
        lengths: columns of each image.
        num_samples: of each image.
        positive_fraction: of them, at most.
    """
    both = torch.stack((positive, negative))
    counts = torch.stack([part.sum(dim=1) for part in both.split(list(lengths), dim=1)]).tolist()
    num_positive, num_negative = (sum(one) for one in zip(*counts, strict=True))
    # The sizes are known on the host already: this one does not wait for the card to tell them.
    found = torch.nonzero_static(both, size=num_positive + num_negative)[:, 1]
    columns = found.split([*(count for count, _ in counts), *(count for _, count in counts)])
    drawn: tuple[list[Tensor], list[Tensor]] = ([], [])
    for image, (has_positive, has_negative) in enumerate(counts):
        wanted = min(has_positive, int(num_samples * positive_fraction))
        rest = min(has_negative, num_samples - wanted)
        for kept, of, number, at in (
            (drawn[0], has_positive, wanted, image),
            (drawn[1], has_negative, rest, len(counts) + image),
        ):
            order = torch.randperm(of, device=found.device)[:number]
            kept.append(columns[at][order])
    return Sample(tuple(drawn[0]), tuple(drawn[1]))
