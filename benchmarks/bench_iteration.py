"""One iteration of a trial against one of stock Detectron2, at the same config, threads and loader workers.

    python -m benchmarks.bench_iteration [--config demo|r50] [--threads 1] [--workers 0] [--rounds 5] [--iterations 4]
                                         [--device cuda] [--cpu-time] [--set KEY=VALUE ...] [--set-ours KEY=VALUE ...]

Blocks of iterations take turns in one process; each waits for its batch and trains; ours reads its losses and notes
its rate. ``demo`` is the detector of the demo on 192 px pictures, ``r50`` the study's R50-FPN on 640x640 JPEGs, from
the same random weights. ``--set`` holds for both sides, ``--set-ours`` for ours alone: with ``--set-ours
SOLVER.AMP.ENABLED=true`` or ``MODEL.CHANNELS_LAST=true`` ours has mixed precision or channels last, and stock stays as
it is. ``--cpu-time`` counts the seconds of CPU of this process, on a machine that does other work, too. R50-FPN with
frozen batch norm, as from the zoo's weights, at 192 px (nothing diverges at such a learning rate):

    python -m benchmarks.bench_iteration --config r50 --cpu-time --set INPUT.MIN_SIZE_TRAIN=[192] \
        INPUT.MAX_SIZE_TRAIN=320 SOLVER.IMS_PER_BATCH=4 MODEL.RESNETS.NORM=FrozenBN SOLVER.BASE_LR=1e-12
"""

from __future__ import annotations

import argparse
import functools
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training.input.batches import BatchStream
from agropest.training.input.image_cache import open_cache
from agropest.training.input.records import load_records
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config
from benchmarks.pairs import ROOT, machine_line, seconds, tell

# isort: split
from detectron2.data import build_detection_train_loader
from detectron2.engine import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils.events import EventStorage

from benchmarks.stock import register, stock_config

CONFIGS = {
    "demo": ("demo.yaml", 192, ()),
    "r50": ("agropest_r50_fpn.yaml", 640, ("MODEL.WEIGHTS=''", "MODEL.RESNETS.NORM=GN", "SOLVER.IMS_PER_BATCH=1")),
}


def trial_of(dataset: Dataset, folder: Path, config: str, settings: list[str]) -> TrialSpec:
    path = folder / "bench.yaml"
    path.write_text(f"base: {ROOT / 'configs' / config}\nvariants: {{baseline: {{}}}}\n")
    return expand_trials(load_sweep(path, settings), dataset.fingerprint, dataset.class_names)[0]


def block(step: Callable[[], None], trainer: SimpleTrainer | TrialTrainer, iterations: int) -> None:
    """Trains ``iterations`` more, and waits until a card is through with them."""
    with EventStorage(trainer.iter) as trainer.storage:
        for _ in range(iterations):
            step()
            trainer.iter += 1
            trainer.storage.step()
    if next(trainer.model.parameters()).is_cuda:
        torch.cuda.synchronize()


def stock_trainer(trial: TrialSpec, dataset: Dataset, folder: Path, workers: int, device: str = "cpu") -> SimpleTrainer:
    """Returns Detectron2's trainer over its own loader."""
    register({name: (str(json_file), str(images)) for name, (json_file, images) in dataset.paths.items()})
    cfg = stock_config(detectron2_config(trial, device), folder)
    cfg.defrost()
    cfg.DATALOADER.NUM_WORKERS = workers
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    trainer = SimpleTrainer(model, build_detection_train_loader(cfg), optimizer)
    scheduler = build_lr_scheduler(cfg, optimizer)
    run_step = trainer.run_step

    def step() -> None:  # the hook LRScheduler
        run_step()
        scheduler.step()

    trainer.run_step = step
    return trainer


def our_trainer(
    trial: TrialSpec, dataset: Dataset, folder: Path, workers: int, device: str = "cpu", lean: bool = True
) -> TrialTrainer:
    """Returns a trial's trainer over its batch stream, with the decoded-image cache that trials share."""
    cfg = detectron2_config(trial, device)
    trainer = TrialTrainer(cfg, device, lean=lean)
    records = load_records("train", *dataset.paths["train"]).dicts
    cache = open_cache(folder / "decoded", "bench", records, cfg.INPUT.FORMAT)
    trainer.batches = BatchStream(records, cfg, 42, cache=cache).iterate(0, workers)
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", choices=sorted(CONFIGS), default="demo")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="loader workers of both; default 0")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--iterations", type=int, default=4, metavar="N", help="in a block; default 4")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of CPU, not of a clock on the wall")
    parser.add_argument("--set", nargs="+", default=[], dest="settings", metavar="KEY=VALUE", help="of both")
    parser.add_argument("--set-ours", nargs="+", default=[], metavar="KEY=VALUE", help="of ours alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    print(machine_line(), flush=True)
    config, side, settings = CONFIGS[arguments.config]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_demo_dataset(folder / "set", train=120, valid=4, test=4, image_size_px=side)
        dataset = load_dataset(folder / "set", folder / "converted")
        common = _last_of_each([*settings, *arguments.settings])
        plain = trial_of(dataset, folder, config, common)
        changed = trial_of(dataset, folder, config, _last_of_each([*common, *arguments.set_ours]))
        stock = stock_trainer(plain, dataset, folder, arguments.workers, arguments.device)
        ours = our_trainer(changed, dataset, folder, arguments.workers, arguments.device)
        # What is pooled and suppressed depends on which proposals random weights make.
        stock.model.load_state_dict(ours.model.state_dict())
        pairs: tuple[list[float], list[float]] = ([], [])
        for turn in itertools.count():
            for trainer, times in zip((stock, ours), pairs, strict=True):
                work = functools.partial(block, trainer.run_step, trainer, arguments.iterations)
                taken = seconds(work, clock) / arguments.iterations
                if turn:  # the first block of each is not counted: caches are filled
                    times.append(taken)
            if turn == arguments.rounds:
                break
        ours.batches.close()  # type: ignore[attr-defined]
        words = [arguments.config, arguments.device]
        words += [f"{arguments.threads} threads", f"{arguments.workers} loader workers", *arguments.settings]
        words += ["seconds of CPU"] if arguments.cpu_time else []
        words += [f"ours {setting}" for setting in arguments.set_ours]
        tell(f"one iteration ({', '.join(words)})", *pairs)


def _last_of_each(settings: list[str]) -> list[str]:
    """Returns the settings, of two that give one key the later."""
    return list({setting.partition("=")[0]: setting for setting in settings}.values())


if __name__ == "__main__":
    main()
