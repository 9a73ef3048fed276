"""What this machine computes with, found without torch: a plan must be quick."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
NVIDIA_SMI_LIMIT_S = 20


@dataclass(frozen=True)
class Card:
    """A GPU."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Machine:
    """Cores that this process may use, and cards."""

    cpu: str
    num_cores: int
    cards: tuple[Card, ...] = ()

    def device_name(self, on_gpu: bool) -> str:
        """Returns what measurements are kept under: the card's name, or the processor's with its number of cores."""
        return self.cards[0].name if on_gpu and self.cards else f"{self.cpu}, {self.num_cores} cores"


def this_machine() -> Machine:
    """Returns this machine's cores and cards; a CUDA_VISIBLE_DEVICES that hides all cards is honoured."""
    return Machine(_cpu_name(), _num_cores(), _cards())


def _num_cores() -> int:
    """Returns the cores this process may use: its affinity, and no more than a container's quota."""
    cores = len(os.sched_getaffinity(0))
    for read in (_quota_v2, _quota_v1):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            return max(1, min(cores, int(read())))
    return cores


def _quota_v2(root: Path = CGROUPS) -> float:
    quota, period = (root / "cpu.max").read_text().split()
    return float(quota) / float(period)  # ValueError for "max": no quota


def _quota_v1(root: Path = CGROUPS) -> float:
    quota = float((root / "cpu" / "cpu.cfs_quota_us").read_text())
    return quota / float((root / "cpu" / "cpu.cfs_period_us").read_text()) if quota > 0 else float("nan")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "CPU"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")


def _cards() -> tuple[Card, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shutil.which("nvidia-smi") is None or visible in ("", "-1"):
        return ()
    command = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_SMI_LIMIT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_cards(answer, visible)


def parse_cards(answer: str, visible: str | None = None) -> tuple[Card, ...]:
    """Returns the cards that a process sees.

    Args:
        answer: of ``nvidia-smi --query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits`` (MiB).
        visible: CUDA_VISIBLE_DEVICES: indices or (the beginnings of) UUIDs; None: all. As for CUDA, what follows a
            word that names no card is not seen. A part of a card (MIG) counts as the smallest card.
    """
    found: dict[tuple[str, str], Card] = {}
    for line in answer.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) >= 4 and words[-1].isdecimal():
            found[words[0], words[1]] = Card(", ".join(words[2:-1]), int(words[-1]) << 20)
    if visible is None:
        return tuple(found.values())
    cards = []
    for word in (word.strip() for word in visible.split(",")):
        if word.startswith("MIG-") and found:
            card = min(found.values(), key=lambda one: one.memory_bytes)
        else:
            named = [one for (index, uuid), one in found.items() if word == index or (word and uuid.startswith(word))]
            if not named:
                break
            card = named[0]
        cards.append(card)
    return tuple(cards)
