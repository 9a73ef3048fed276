"""What a trial occupies: numbers from the sweep file, or ``auto``, which a probe turns into numbers before the launch.

resources: {cpus: auto, gpus: auto, loader_workers: auto}
resources: auto                                            # the same
resources: {cpus: 2, gpus: 0.25, loader_workers: 1}        # fixed
resources: {processes: 2}                                  # one trial in two processes (Detectron2's DDP)
resources: {lean: false}                                   # Detectron2's own modules; slower, the same numbers
resources: {gpus: 1, deterministic: true}                  # the same numbers bit for bit on a card, too; slower
resources: {max_concurrent: 2}                             # of the sweep: no more than two trials at a time
resources: {gpus: 0.25, mps: true}                         # starts NVIDIA's MPS for the trials that share a card
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agropest.sweep.sections.section import Section

AUTO = "auto"
MAX_CONCURRENT = "max_concurrent"
MEASURABLE = ("cpus", "gpus", "loader_workers")


@dataclass(frozen=True)
class Resources:
    """What one trial occupies.

    Attributes:
        cpus: cores.
        threads: of torch, of each of its processes; 0: as many as it has cores.
        gpus: below 1 a share of a card (of its memory, too); whole numbers above: that many cards.
        loader_workers: processes that prepare batches, of each training process.
        processes: that train together, each on its part of every batch (Detectron2's DDP); one for each card where
            there are several.
        lean: whether trials use the modules of ``agropest.modeling.lean`` in place of Detectron2's; None: on the CPU.
        mps: whether the launch starts NVIDIA's Multi-Process Service, so that trials that share a card compute at once.
        deterministic: whether PyTorch's deterministic algorithms alone are used (``training.processes.determinism``).
        auto: which of ``MEASURABLE`` a probe is to find; their numbers here are what holds until then.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    loader_workers: int = 0
    processes: int = 1
    threads: int = 0
    lean: bool | None = None
    mps: bool = False
    auto: tuple[str, ...] = ()
    deterministic: bool = False

    @property
    def is_lean(self) -> bool:
        """Whether trials use the lean modules; bit-equality is tested on the CPU, so a card has to be asked for it."""
        return self.gpus == 0 if self.lean is None else self.lean

    @property
    def num_threads(self) -> int:
        """Torch's threads in each process, at least 1."""
        return self.threads or max(1, int(self.cpus) // self.processes)

    @property
    def per_card(self) -> int:
        """Such trials that share a card, at least 1."""
        return int(1 / self.gpus + 1e-6) if 0 < self.gpus < 1 else 1

    def in_words(self) -> str:
        """Returns e.g. ``2 CPU, 0.25 GPU``, with ``auto`` for what is still to be measured."""
        cpus, gpus = (AUTO if key in self.auto else f"{getattr(self, key):g}" for key in ("cpus", "gpus"))
        parts = [f"{cpus} CPU", f"{gpus} GPU"] if (cpus, gpus) != (AUTO, AUTO) else ["CPU, GPU: auto"]
        if self.loader_workers and "loader_workers" not in self.auto:
            parts.append(f"{self.loader_workers} loader workers")
        if self.processes > 1:
            parts.append(f"{self.processes} processes")
        if self.deterministic:
            parts.append("deterministic")
        return ", ".join(parts)


def read_max_concurrent(top: Section) -> int:
    """Returns how many of a sweep's trials may run at a time; 0: as many as fit."""
    if not isinstance(top.raw("resources"), Mapping):  # read_resources says what is wrong with it
        return 0
    section = top.section("resources")
    return section.integer(MAX_CONCURRENT, 0, low=1, high=10**6) if MAX_CONCURRENT in section.content else 0


def read_resources(parent: Section, is_sweep: bool = False) -> Resources:
    """Returns the resources of a sweep file or a variant; faults go to the section."""
    key = "resources"
    if parent.raw(key) == AUTO:
        return Resources(auto=MEASURABLE)
    section = parent.section(key)
    if is_sweep:
        section.known.add(MAX_CONCURRENT)
    auto = tuple(name for name in MEASURABLE if section.raw(name) == AUTO)
    resources = Resources(
        cpus=1.0 if "cpus" in auto else section.number("cpus", 1.0, low=0.01, high=4096),
        gpus=0.0 if "gpus" in auto else section.number("gpus", 0.0, high=64),
        loader_workers=0 if "loader_workers" in auto else section.integer("loader_workers", 0, high=256),
        processes=section.integer("processes", 0, low=1, high=64) if "processes" in section.content else 1,
        threads=section.integer("threads", 0, high=4096),
        lean=None if section.raw("lean") is None else section.flag("lean", True),
        mps=section.flag("mps", False),
        auto=auto,
        deterministic=section.flag("deterministic", False),
    )
    section.refuse_unknown()
    if resources.processes > 1 and auto:
        section.fault(auto[0], "expected a number beside processes", AUTO, "what is measured is a trial of one process")
    if resources.gpus <= 1:
        return resources
    if resources.gpus != int(resources.gpus):
        section.fault("gpus", "expected a share below 1 or a whole number", resources.gpus, "Ray gives whole cards")
    elif "processes" not in section.content:
        return replace(resources, processes=int(resources.gpus))
    elif resources.processes != resources.gpus:
        rule = f"expected one process for each of the {resources.gpus:g} cards"
        section.fault("processes", rule, resources.processes, "leave it out")
    return resources
