"""Where and how a trial runs: none of it changes its numbers on one kind of device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agropest.store.sharing.shared_work import Sharing


@dataclass(frozen=True)
class RunContext:
    """Where and how a trial runs.

    Attributes:
        splits: split name to (COCO JSON, image folder); ``test`` may be missing.
        device: "cpu" or "cuda".
        device_name: what the speed of this trial is remembered under; empty: it is not.
        num_threads: of torch in this process.
        num_processes: that train together, each on its part of every batch; on cards one for each.
        loader_workers: processes that prepare batches; 0: this one does.
        image_cache: folder of the decoded images that all trials of this node share; None: each decodes its own.
        metric: by which validation chooses the checkpoint that is tested.
        gpu_memory_fraction: of the card's memory that this process may use, its CUDA context included; 0: all. A
            trial that outgrows its share fails alone.
        keep_checkpoints: False removes them all once the trial is finished.
        keep_evaluated: whether the checkpoint of every evaluation stays.
        sweep: whose launch this is.
        sweep_folder: of its file; a command starts there.
        sharing: trials that train the same; what they have done is taken over.
        replicates_later: whether the replicates are left to another process, which starts when this one has ended and
            given its share of the card back.
        lean: whether the modules of ``agropest.modeling.lean`` stand in for Detectron2's.
        weights_notes: folder of the hashes of zoo files that have none in their name; None: they are not compared.
        deterministic: whether PyTorch's deterministic algorithms alone are used.
    """

    splits: Mapping[str, tuple[Path, Path]]
    device: str = "cpu"
    device_name: str = ""
    num_threads: int = 1
    num_processes: int = 1
    loader_workers: int = 0
    image_cache: Path | None = None
    metric: str = "AP"
    gpu_memory_fraction: float = 0.0
    keep_checkpoints: bool = True
    keep_evaluated: bool = False
    sweep: str = ""
    sweep_folder: Path = Path()
    sharing: Sharing = field(default_factory=Sharing)
    replicates_later: bool = False
    lean: bool = True
    deterministic: bool = False
    weights_notes: Path | None = None
