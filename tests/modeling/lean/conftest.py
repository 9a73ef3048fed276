"""Trainers over the same batches: with Detectron2's modules, and with the lean ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from agropest.modeling.config import add_agropest_config
from agropest.training.trainer import TrialTrainer
from tests.modeling.conftest import SMALL

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
FROZEN = ("MODEL.RESNETS.NORM", "FrozenBN", "MODEL.FPN.NORM", "", "SOLVER.BASE_LR", 1e-4)
RETINANET = (
    *("MODEL.META_ARCHITECTURE", "RetinaNet", "MODEL.BACKBONE.NAME", "build_retinanet_resnet_fpn_backbone"),
    *("MODEL.FPN.IN_FEATURES", ["res3", "res4", "res5"], "MODEL.RETINANET.NUM_CLASSES", 3),
    *("MODEL.RETINANET.IN_FEATURES", ["p3", "p4", "p5", "p6", "p7"]),
)
CASCADE = ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keeps torch's threads from waiting for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_cfg(*overrides: Any) -> CfgNode:
    """Returns the config of a small detector."""
    return _cfg(None, *SMALL, *overrides)


def file_cfg(name: str, *overrides: Any) -> CfgNode:
    """Returns a config of the project's for 3 classes, from random weights."""
    plain = ("MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", 3)
    return _cfg(CONFIGS / name, *plain, *overrides)


def _cfg(path: Path | None, *overrides: Any) -> CfgNode:
    cfg = get_cfg()
    add_agropest_config(cfg)
    if path is not None:
        cfg.merge_from_file(str(path), allow_unsafe=False)
    cfg.merge_from_list(list(overrides))
    cfg.SEED = 1
    cfg.freeze()
    return cfg


def draw_batch(number: int, sizes: tuple[tuple[int, int], ...] = ((64, 64), (64, 64)), most: int = 4) -> list[Any]:
    """Returns pictures of noise with one to ``most`` boxes each."""
    generator = torch.Generator().manual_seed(number)
    found = []
    for height, width in sizes:
        n = int(torch.randint(1, most + 1, (1,), generator=generator)) if most else 0
        corner = torch.rand(n, 2, generator=generator) * torch.tensor([width - 20.0, height - 20.0])
        side = 6 + torch.rand(n, 2, generator=generator) * 14
        instances = Instances((height, width))
        instances.gt_boxes = Boxes(torch.cat([corner, corner + side], dim=1))
        instances.gt_classes = torch.randint(0, 3, (n,), generator=generator)
        image = torch.randint(0, 255, (3, height, width), generator=generator, dtype=torch.uint8)
        found.append({"image": image, "instances": instances, "height": height, "width": width})
    return found


class Pair:
    """A trial with Detectron2's modules and one with the lean ones, from the same weights."""

    def __init__(self, cfg: CfgNode) -> None:
        self.stock, self.lean = TrialTrainer(cfg, "cpu", lean=False), TrialTrainer(cfg, "cpu")
        self.losses: list[dict[str, torch.Tensor]] = []
        for trainer in (self.stock, self.lean):
            trainer.model.register_forward_hook(self._keep_losses)

    def _keep_losses(self, model: torch.nn.Module, batch: Any, output: Any) -> None:
        if model.training:
            self.losses.append({name: loss.detach() for name, loss in output.items()})

    def train(self, batch: list[Any]) -> None:
        """Trains both one iteration, and requires that they are equal afterwards, bit for bit."""
        for trainer in (self.stock, self.lean):
            trainer.batches = iter([batch])
            with EventStorage(trainer.iter):
                trainer.run_step()
            trainer.iter += 1
        theirs, ours = self.losses[-2:]
        assert list(theirs) == list(ours)
        assert [name for name, loss in theirs.items() if not loss.equal(ours[name])] == []
        named = zip(self.stock.model.named_parameters(), self.lean.model.named_parameters(), strict=True)
        for (name, p), (other, q) in named:
            assert name == other
            assert (p.grad is None) == (q.grad is None), name
            assert p.grad is None or p.grad.equal(q.grad), name
        assert self.states_differ() == []

    def states_differ(self) -> list[str]:
        """Returns the weights and the optimizer's numbers that differ."""
        states = [trainer.state() for trainer in (self.stock, self.lean)]
        names = [name for name, value in states[0]["model"].items() if not value.equal(states[1]["model"][name])]
        momenta = [state["optimizer"]["state"] for state in states]
        assert momenta[0].keys() == momenta[1].keys()
        return names + [
            f"momentum {key}"
            for key, value in momenta[0].items()
            if not value["momentum_buffer"].equal(momenta[1][key]["momentum_buffer"])
        ]
