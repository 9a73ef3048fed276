"""What the variants of a sweep cost at inference, beside their AP: results/<sweep>/inference_cost.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agropest import files
from agropest.analysis.compared import ComparedVariant, Comparison

NAME = "inference_cost.json"
STEADY = 1.5  # quartiles of a quiet machine are a few percent apart


@dataclass(frozen=True)
class InferenceCost:
    """One variant's model on pictures of the data set, one at a time.

    Attributes:
        signature: of the trial that was measured.
        parameters: numbers in the model.
        gflops: floating point operations of convolutions and matrix products of one picture, in billions; a
            multiplication and its addition count as two.
        latency_ms: median of the warmed runs: the model alone, without reading and resizing the picture.
        fast_ms, slow_ms: quartiles of the same.
        memory_mib: what the process needs more at its peak than before the model was built; on a GPU, what it reserves.
    """

    label: str
    seed: int
    signature: str
    parameters: int
    gflops: float
    latency_ms: float
    fast_ms: float
    slow_ms: float
    memory_mib: float


@dataclass(frozen=True)
class CostRecord:
    """What was measured on one machine.

    Attributes:
        hardware: the card's name, or the processor's with its number of cores.
        device: "cpu" or "cuda".
        threads: of torch.
        num_runs: of each model, after those that warm it.
        input_px: height and width at the network's input, of the first picture.
    """

    hardware: str
    device: str
    threads: int
    num_runs: int
    input_px: tuple[int, int]
    costs: tuple[InferenceCost, ...]


@dataclass(frozen=True)
class CostedVariant:
    """A variant with its AP and its cost.

    Attributes:
        on_front: no other measured variant is as fast and has a higher value, or is faster and has one as high.
    """

    variant: ComparedVariant
    cost: InferenceCost
    on_front: bool


def write_costs(folder: Path, record: CostRecord) -> Path:
    """Writes the record into results/<sweep>; returns where."""
    files.write_json(folder / NAME, asdict(record))
    return folder / NAME


def read_costs(folder: Path) -> CostRecord | None:
    """Returns what was measured of a sweep; None where nothing was, or the file is damaged."""
    try:
        content = files.read_json(folder / NAME)
        costs = tuple(InferenceCost(**one) for one in content.pop("costs"))
        height, width = content.pop("input_px")
        return CostRecord(**content, costs=costs, input_px=(height, width))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def costed_variants(comparison: Comparison, record: CostRecord, signatures: Mapping[str, str]) -> list[CostedVariant]:
    """Returns the ranked variants that were measured, the fastest first.

    Args:
        signatures: of the sweep's trials as they are now, by ``label/sSEED``: a cost of another training is left out.
    """
    costs = {one.label: one for one in record.costs if signatures.get(f"{one.label}/s{one.seed}") == one.signature}
    known = [
        (one, costs[one.label])
        for one in comparison.variants
        if one.label in costs and one.rank is not None and one.estimate.value is not None
    ]
    points = [(cost.latency_ms, float(one.estimate.value or 0.0)) for one, cost in known]
    costed = [
        CostedVariant(one, cost, not any(_dominates(other, point) for other in points))
        for (one, cost), point in zip(known, points, strict=True)
    ]
    return sorted(costed, key=lambda one: one.cost.latency_ms)


def _dominates(other: tuple[float, float], point: tuple[float, float]) -> bool:
    return other != point and other[0] <= point[0] and other[1] >= point[1]


def unsteady(costed: Sequence[CostedVariant]) -> list[str]:
    """Returns the variants whose runs are so far apart that something else was using the machine."""
    return [one.variant.label for one in costed if one.cost.slow_ms > STEADY * one.cost.fast_ms]


def cheapest_of_tie(costed: Sequence[CostedVariant]) -> CostedVariant | None:
    """Returns the fastest variant that is not distinguishable from the best; None where the best stands alone."""
    tied = [one for one in costed if one.variant.ties_with_best]
    return min(tied, key=lambda one: one.cost.latency_ms) if len(tied) > 1 else None
