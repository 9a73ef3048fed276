"""A sign of life every few seconds: the iteration, the speed and the GPU memory of a running trial."""

from __future__ import annotations

import logging
import time

import torch
from detectron2.engine.train_loop import HookBase

from agropest.store.records import Heartbeat
from agropest.store.trial_folder import LostClaim, TrialFolder
from agropest.training.trainer import TrialTrainer

logger = logging.getLogger(__name__)

PERIOD_S = 2.0
GIB = 2.0**30


class WriteHeartbeat(HookBase):
    """Writes the trial's heartbeat at the first iteration, then every ``PERIOD_S`` seconds.

    It also makes a writer that was given up for dead notice within seconds that another one has taken over.

    Args:
        folder: claimed by this process.
        trainer: whose iterations are reported.
    """

    def __init__(self, folder: TrialFolder, trainer: TrialTrainer) -> None:
        self.folder, self.its_trainer = folder, trainer
        self._next = 0.0

    def after_step(self) -> None:
        """Writes when it is time.

        Raises:
            LostClaim: another process has taken this trial over.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PERIOD_S
        on_gpu = self.its_trainer.device.type == "cuda"
        memory = torch.cuda.memory_reserved(self.its_trainer.device) / GIB if on_gpu else 0.0
        heartbeat = Heartbeat(
            self.its_trainer.iter + 1, round(time.time(), 3), round(self.its_trainer.images_per_s, 3), round(memory, 3)
        )
        try:
            self.folder.write_heartbeat(heartbeat)
        except LostClaim:
            raise
        except OSError as error:  # a full disk: what counts is the next checkpoint, which will say so, too
            logger.warning("no heartbeat: %s", error)
