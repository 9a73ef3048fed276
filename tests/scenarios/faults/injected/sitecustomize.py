"""Put on PYTHONPATH by a test: what the machine does to a trial, done to the trial whose label asks for it.

With HELD_AT every trial waits at that iteration (counted from 0) until there is a file HELD_UNTIL.

Python imports this module when it starts, in the launch, in Ray's workers and in the fork server. Nothing of it is part
of the package: it replaces ``run_trial`` in ``agropest.training.trial`` the moment that module has been loaded.
"""

from __future__ import annotations

import errno
import importlib.abc
import importlib.util
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

TARGET = "agropest.training.trial"
# A trial that asks for less than this share of a GPU runs out of memory.
ENOUGH = 0.5


def full_disk(path: Any) -> OSError:
    return OSError(errno.ENOSPC, "No space left on device", str(path))


def injected(original: Any, module: Any) -> Any:
    """Returns a ``run_trial`` that trains on the CPU and meets its fault at the second iteration."""

    def run_trial(trial: Any, folder: Any, setting: Any, *callbacks: Any) -> Any:
        import torch

        share = setting.gpu_memory_fraction
        marker = folder.path / "injected"
        first = not marker.exists()
        step = module.TrialTrainer.run_step

        def run_step(trainer: Any) -> None:
            if trainer.iter == int(os.environ.get("HELD_AT", "-1")):  # until the test has done what it does meanwhile
                (folder.path / f"held-{os.getpid()}").write_text("")
                while not Path(os.environ["HELD_UNTIL"]).exists():
                    time.sleep(0.02)
            if trainer.iter == 1:
                marker.write_text("")
                if trial.label == "memory" and 0 < share < ENOUGH:
                    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
                if trial.label == "worker" and first:
                    raise RuntimeError("DataLoader worker (pid 123) is killed by signal: Killed. ")
                if trial.label == "disk" and first:
                    raise full_disk(folder.path)
            step(trainer)

        def write_with(path: Any, *_: Any, **__: Any) -> None:
            raise full_disk(path)

        if trial.label == "no-room":
            import agropest.files

            agropest.files.write_with = write_with
        module.TrialTrainer.run_step = run_step
        return original(trial, folder, replace(setting, device="cpu", gpu_memory_fraction=0.0), *callbacks)

    return run_trial


class Finder(importlib.abc.MetaPathFinder):
    """Finds the target once, and changes it when it has been executed."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            module.run_trial = injected(module.run_trial, module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
