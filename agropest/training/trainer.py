"""The training loop of one trial: Detectron2's ``TrainerBase`` over the batch stream.

Every step seeds torch from (seed, iteration), so that what is drawn inside the model (which anchors and proposals are
sampled) does not depend on whether the run was interrupted. Losses stay on the device and are read every
``LOG_PERIOD_ITERS`` iterations: a GPU is not made to wait for a log line.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine.train_loop import TrainerBase
from tensorboardX import SummaryWriter

from agropest.errors import TrialError, fault
from agropest.modeling import retinanet
from agropest.modeling.build import build
from agropest.modeling.ema import Ema
from agropest.modeling.lean.conversion import make_lean
from agropest.modeling.lean.optimizer import make_lean_optimizer
from agropest.modeling.optimizer import build_optimizer
from agropest.modeling.precision import half_precision
from agropest.store.losses import LossLog
from agropest.sweep.trial import TRAINING_VERSION
from agropest.training.accumulation import accumulate
from agropest.training.input.device_copy import on_device
from agropest.training.learning_rate import build_scheduler, set_rates

LOG_PERIOD_ITERS = 20
logger = logging.getLogger(__name__)


class TrialTrainer(TrainerBase):
    """Trains one model; evaluation and checkpoints are hooks.

    Args:
        cfg: effective Detectron2 config, frozen.
        device: "cpu" or "cuda".
        training_version: of the trial.
        decays: of averages of the weights that are kept beside the config's own, for others that evaluate them.
        lean: False leaves Detectron2's modules and torch's optimizer as they are; the numbers are the same.

    Attributes:
        averages: decay to the averaged weights.
        intact_iteration: whose state, of weights and optimizer, is there as a whole; None while a step changes it.
    """

    def __init__(
        self,
        cfg: CfgNode,
        device: str,
        training_version: int = TRAINING_VERSION,
        decays: Collection[float] = (),
        *,
        lean: bool = True,
    ) -> None:
        super().__init__()
        self.cfg, self.device = cfg, torch.device(device)
        # As Detectron2's default_setup does, which is not run here; says something on a card alone.
        # What it finds fastest differs from run to run, and with it the order of sums.
        torch.backends.cudnn.benchmark = bool(cfg.CUDNN_BENCHMARK) and not torch.are_deterministic_algorithms_enabled()
        torch.manual_seed(step_seed(cfg.SEED, -1))
        self.model = build(cfg).to(self.device)
        if lean:
            make_lean(self.model)
        retinanet.prepare(self.model)
        self.model.train()
        self.training_model: torch.nn.Module = self.model  # or wrapped, where several processes train together
        self.rank = 0
        self.optimizer = build_optimizer(cfg, self.model)
        if lean:
            make_lean_optimizer(self.optimizer, cfg)
        self.scheduler = build_scheduler(cfg, self.optimizer, training_version)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=cfg.SOLVER.AMP.ENABLED and device != "cpu")
        own = [float(cfg.SOLVER.EMA.DECAY)] if cfg.SOLVER.EMA.ENABLED else []
        self.averages = {decay: Ema(self.model, decay) for decay in dict.fromkeys([*own, *decays])}
        self.batches: Iterator[list[dict[str, Any]]] = iter(())
        self.writer: SummaryWriter | None = None
        self.losses: LossLog | None = None
        self.images_per_s = 0.0
        self.intact_iteration: int | None = None
        self._before_step: dict[str, Any] = {}
        self._recent: list[dict[str, torch.Tensor]] = []
        self._recent_since = time.perf_counter()

    def run_step(self) -> None:
        """Trains one iteration.

        Raises:
            TrialError: the loss is not finite.
        """
        batch = on_device(next(self.batches), next(self.model.parameters()).device)
        torch.manual_seed(step_seed(self.cfg.SEED, self.iter) + self.rank)
        self.optimizer.zero_grad(set_to_none=True)
        self._before_step = retinanet.unsaved_state(self.model)
        self.intact_iteration = None if _has_running_statistics(self.model) else self.iter
        try:
            losses = accumulate(batch, self.cfg.SOLVER.ACCUMULATION_STEPS, self._losses_of, self.scaler)
        except FloatingPointError as error:  # Detectron2's RPN says so first when the weights are already not finite
            raise self._diverged(self.iter + 1, str(error)) from None
        self.intact_iteration = None
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        for average in self.averages.values():
            average.update(self.model)
        self._before_step = retinanet.unsaved_state(self.model)
        self.intact_iteration = self.iter + 1
        self._recent.append(losses)
        if self.device.type == "cpu" or (self.iter + 1) % LOG_PERIOD_ITERS == 0:
            self.require_finite()
        if (self.iter + 1) % LOG_PERIOD_ITERS == 0:
            self._write_losses()

    def _losses_of(self, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        with half_precision(self.device.type, enabled=self.cfg.SOLVER.AMP.ENABLED):
            losses: dict[str, torch.Tensor] = self.training_model(batch)
            return losses

    @property
    def ema(self) -> Ema | None:
        """The averaged weights that the config evaluates, where it does."""
        return self.averages.get(float(self.cfg.SOLVER.EMA.DECAY)) if self.cfg.SOLVER.EMA.ENABLED else None

    def evaluation_model(self) -> torch.nn.Module:
        """Returns the model that is evaluated: the averaged one where EMA is on."""
        return self.ema.module if self.ema is not None else self.model

    def undo_forward(self) -> None:
        """Takes back what a step that broke off in its forward or backward pass has left, and the memory it holds."""
        self.optimizer.zero_grad(set_to_none=True)
        retinanet.load_unsaved_state(self.model, self._before_step)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def state(self) -> dict[str, Any]:
        """Returns everything that the rest of the training depends on (the random state follows from the iteration)."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "averages": {repr(decay): average.state_dict() for decay, average in self.averages.items()},
            "unsaved": retinanet.unsaved_state(self.model),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Puts :meth:`state` back; it may be that of another trial with the same training up to this iteration.

        The rates from here on are this trial's own. Averages that the state lacks are kept for others no longer.
        """
        self.model.load_state_dict(state["model"])
        retinanet.load_unsaved_state(self.model, state.get("unsaved", {}))  # older checkpoints have none
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict({**state["scheduler"], "base_lrs": list(self.scheduler.base_lrs)})
        set_rates(self.optimizer, self.scheduler)
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        kept = averages_of(state, float(self.cfg.SOLVER.EMA.DECAY))
        own = self.ema
        self.averages = {decay: ema for decay, ema in self.averages.items() if decay in kept or ema is own}
        for decay, average in self.averages.items():
            average.load_state_dict(kept[decay])

    def take_over(self, state: dict[str, Any], cfg: CfgNode) -> None:
        """Continues from the :meth:`state` of another trial, under the learning rate, decay and momentum of this one.

        Args:
            state: its model has the parameters of this one.
            cfg: of the other trial.
        """
        # Detectron2 groups parameters that have equal settings: the other optimizer may have other groups. What it
        # knows of each parameter is taken over, and nothing else.
        theirs = build_optimizer(cfg, self.model)
        theirs.load_state_dict(state["optimizer"])
        self.optimizer.state = theirs.state
        kept = averages_of(state, float(cfg.SOLVER.EMA.DECAY))
        if cfg.SOLVER.EMA.ENABLED and self.cfg.SOLVER.EMA.ENABLED:  # from here on under this trial's decay
            kept[float(self.cfg.SOLVER.EMA.DECAY)] = kept[float(cfg.SOLVER.EMA.DECAY)]
        averages = {repr(decay): average for decay, average in kept.items()}
        self.load_state({**state, "optimizer": self.optimizer.state_dict(), "averages": averages})

    def open_log(self, folder: Path, from_iteration: int) -> None:
        """Starts TensorBoard events and ``losses.csv`` in ``folder``; those of a lost part are superseded."""
        self.writer = SummaryWriter(str(folder), purge_step=from_iteration or None)
        self.losses = LossLog(folder, from_iteration)

    def require_finite(self) -> None:
        """Checks the losses since they were last written; on a GPU, that waits for it.

        Raises:
            TrialError: one was not finite.
        """
        if not self._recent:
            return
        totals = torch.stack([torch.stack(list(losses.values())).sum() for losses in self._recent[-LOG_PERIOD_ITERS:]])
        finite = torch.isfinite(totals).tolist()
        if not all(finite):
            iteration = self.iter + 2 - len(finite) + finite.index(False)  # counted from 1
            names = [
                name for name, loss in self._recent[finite.index(False) - len(finite)].items() if not loss.isfinite()
            ]
            raise self._diverged(iteration, ", ".join(names))

    @staticmethod
    def _diverged(iteration: int, what: str) -> TrialError:
        fix = "lower SOLVER.BASE_LR, lengthen the warm-up, or clip gradients (SOLVER.CLIP_GRADIENTS.ENABLED)"
        return TrialError(fault(f"iteration {iteration}", "expected finite losses", what, fix))

    def _write_losses(self) -> None:
        now = time.perf_counter()
        self.images_per_s = len(self._recent) * self.cfg.SOLVER.IMS_PER_BATCH / (now - self._recent_since)
        if self.writer is not None and self.losses is not None:
            iteration, rate = self.iter + 1, self.optimizer.param_groups[0]["lr"]
            means = {
                name: float(torch.stack([losses[name] for losses in self._recent]).mean()) for name in self._recent[-1]
            }
            for name, mean in means.items():
                self.writer.add_scalar(f"train/{name}", mean, iteration)
            self.writer.add_scalar("train/lr", rate, iteration)
            self.writer.add_scalar("train/images_per_s", self.images_per_s, iteration)
            self.losses.write(iteration, rate, means)
            parts = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
            text = f"iteration {iteration}: loss {sum(means.values()):.3f} ({parts})"
            logger.info("%s, learning rate %.3g, %.1f images/s", text, rate, self.images_per_s)
        self._recent, self._recent_since = [], now


def _has_running_statistics(model: torch.nn.Module) -> bool:
    """Returns whether a forward pass changes the model: batch norm that is trained does."""
    return any(getattr(part, "track_running_stats", False) and part.training for part in model.modules())


def averages_of(state: dict[str, Any], decay: float) -> dict[float, Any]:
    """Returns the averaged weights that a trainer's state holds, by decay.

    Args:
        state: of :meth:`TrialTrainer.state`, or of a version that kept the one average of its config as ``ema``.
        decay: of that config.
    """
    if "averages" in state:
        return {float(word): average for word, average in state["averages"].items()}
    return {decay: state["ema"]} if state.get("ema") else {}


def step_seed(seed: int, iteration: int) -> int:
    """Returns torch's seed for an iteration (-1: the initialisation): decorrelated, and a function of both alone."""
    state = np.random.SeedSequence([seed, iteration + 1]).generate_state(2, np.uint32)
    return int(state[0]) << 31 | int(state[1]) >> 1 if math.isfinite(seed) else 0
