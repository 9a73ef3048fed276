"""What one iteration asks of a card: operations and host reads, stock Detectron2 against the lean modules.

    python -m benchmarks.bench_launches [--config r50|demo|cascade|retinanet] [--iterations 2]

Counted on the CPU by a dispatch mode, in batches of 4 pictures of 192 px from random weights: what torch dispatches
(views among it), what of that starts a kernel on a card, and where the host would wait for a value there: ``item``,
``tolist``, ``nonzero``, ``unique``, an index that is a mask, a repetition whose counts are a tensor. Non-maximum
suppression stands apart: on a card each call waits once, and there is one for each picture; on the CPU there is one for
each feature map of each picture where there are more than 1,000 boxes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from agropest.data.dataset import load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.training.trainer import TrialTrainer
from benchmarks.bench_iteration import CONFIGS, our_trainer, trial_of

# isort: split
from detectron2.utils.events import EventStorage

PICTURE_PX = 192
SMALL = (f"INPUT.MIN_SIZE_TRAIN=[{PICTURE_PX}]", "SOLVER.IMS_PER_BATCH=4")
CASCADE = ("MODEL.ROI_HEADS.NAME=CascadeROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG=true")
RETINANET = (
    "MODEL.META_ARCHITECTURE=RetinaNet",
    "MODEL.BACKBONE.NAME=build_retinanet_resnet_fpn_backbone",
    "MODEL.FPN.IN_FEATURES=[res3, res4, res5]",
    "MODEL.RETINANET.IN_FEATURES=[p3, p4, p5, p6, p7]",
)
KINDS = {
    "r50": ("agropest_r50_fpn.yaml", ("MODEL.WEIGHTS=''", "SOLVER.BASE_LR=0.00001", *SMALL)),
    "demo": (CONFIGS["demo"][0], ()),
    "cascade": (
        "agropest_r50_fpn.yaml",
        ("MODEL.WEIGHTS=''", "SOLVER.BASE_LR=0.00001", *SMALL, *CASCADE),
    ),
    "retinanet": (
        "agropest_r50_fpn.yaml",
        ("MODEL.WEIGHTS=''", "SOLVER.BASE_LR=0.00001", *SMALL, *RETINANET),
    ),
}
READING_OPS = ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "is_nonzero", "equal")
READING_METHODS = (torch.Tensor.tolist, torch.Tensor.numpy)


class Counts(TorchDispatchMode):
    """Counts what is dispatched while it is on.

    Attributes:
        ops: name to how often, views included.
        views: of them.
        reads: name of what the host would wait for, to how often.
        suppressions: calls of non-maximum suppression.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ops: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.views = self.suppressions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.ops[name] += 1
        self.views += _is_view(func)
        self.suppressions += name == "nms"
        if name in READING_OPS or _has_mask(name, args) or (name == "repeat_interleave" and not _knows_size(kwargs)):
            self.reads[name] += 1
        return func(*args, **(kwargs or {}))

    def __str__(self) -> str:
        total = self.ops.total()
        return (
            f"{total:5d} ops ({total - self.views:4d} of them kernels), {self.reads.total():3d} host reads, "
            f"{self.suppressions:2d} suppressions"
        )


class _Methods(TorchFunctionMode):
    """Counts the reads that no dispatch mode sees: a list of a CPU tensor is made without any operation."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READING_METHODS:
            self.counts.reads[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and returns[0].alias_info is not None and not returns[0].alias_info.is_write


def _has_mask(name: str, args: Any) -> bool:
    """Returns whether a tensor is indexed by a mask: how much that is, only the card knows."""
    if name not in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _knows_size(kwargs: Any) -> bool:
    return bool(kwargs and kwargs.get("output_size") is not None)


@contextmanager
def counted() -> Iterator[Counts]:
    """Counts what happens within."""
    counts = Counts()
    with _Methods(counts), counts:
        yield counts


def count_iteration(trainer: TrialTrainer) -> dict[str, Counts]:
    """Trains one iteration as ``TrialTrainer.run_step`` does; returns the counts of its parts."""
    batch = next(trainer.batches)
    torch.manual_seed(trainer.iter)
    with EventStorage(trainer.iter):
        with counted() as forward:
            losses = trainer.training_model(batch)
        total = sum(losses.values())
        trainer.optimizer.zero_grad(set_to_none=True)
        with counted() as backward:
            total.backward()
        with counted() as optimizer:
            trainer.optimizer.step()
    trainer.iter += 1
    return {"forward": forward, "backward": backward, "optimizer": optimizer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", choices=sorted(KINDS), nargs="*", default=["r50"])
    parser.add_argument("--iterations", type=int, default=2, metavar="N", help="the last one is told; default 2")
    parser.add_argument("--list", type=int, default=0, metavar="N", help="also the N most frequent operations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for kind in arguments.config:
        config, settings = KINDS[kind]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            draw_demo_dataset(folder / "set", train=24, valid=4, test=4, image_size_px=PICTURE_PX)
            dataset = load_dataset(folder / "set", folder / "converted")
            trial = trial_of(dataset, folder, config, list(settings))
            for words, lean in (("stock", False), ("lean", True)):
                trainer = our_trainer(trial, dataset, folder, 0, lean=lean)
                for _ in range(arguments.iterations):
                    parts = count_iteration(trainer)
                for part, counts in parts.items():
                    print(f"{kind:9s} {words:5s} {part:9s} {counts}", flush=True)
                    if arguments.list:
                        print("   ", counts.ops.most_common(arguments.list), dict(counts.reads))
                trainer.batches.close()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
