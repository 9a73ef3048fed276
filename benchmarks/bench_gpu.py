"""Images per second on a GPU: a stock trial, one of ours, several together, and ours with one setting changed.

As many together as the packing chooses. The settings, one table: mixed precision (float16, bfloat16), channels last,
lean modules, TF32, cudnn.benchmark, torch.compile of the backbone, pinned copies, CUDA MPS.

    python -m benchmarks.bench_gpu [--config agropest_r50_fpn.yaml] [--seconds 8] [--most 8] [--minutes 8] [--cpu]

On a machine without a network install from a folder of wheels first:

    pip install --no-index --no-deps --target SITE FOLDER/*.whl && export PYTHONPATH=SITE:.

The pictures are drawn (640x640 JPEGs). The weights are random, and the learning rate next to 0, so that nothing
diverges: the work of an iteration depends on neither. Stock and ours each have processes of their own, so that neither
holds memory of the card while the other is measured. ``--cpu`` tries the script out where there is no card; its figures
mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.machine import Card, this_machine
from agropest.planning.packing import best_count, next_count
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext
from agropest.tuning.workers.probing import ProbeError, ProbeJob, run_together
from benchmarks import gpu_items
from benchmarks.bench_iteration import block, stock_trainer, trial_of
from benchmarks.gpu_items import Place, sharing_rates, table


def stock_rate(trial: TrialSpec, dataset: Dataset, folder: Path, workers: int, device: str, seconds: float) -> float:
    """Returns images per second of stock Detectron2's trainer with its own loader."""
    import torch

    # Else its loader's workers are spawned, as this process was: stock forks them on Linux, and they inherit the shims.
    multiprocessing.set_start_method("fork", force=True)
    trainer = stock_trainer(trial, dataset, folder, workers, device)
    block(trainer.run_step, trainer, 3)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds or done < 3:
        block(trainer.run_step, trainer, 1)
        done += 1
    if device == "cuda":
        torch.cuda.synchronize()
    return done * trial.config["SOLVER.IMS_PER_BATCH"] / (time.perf_counter() - started)


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", default="agropest_r50_fpn.yaml", metavar="NAME", help="of configs/")
    parser.add_argument("--seconds", type=float, default=8.0, metavar="S", help="of each measurement; default 8")
    parser.add_argument("--minutes", type=float, default=8.0, metavar="M", help="nothing begins later; default 8")
    parser.add_argument("--most", type=int, default=8, metavar="N", help="trials together, at most; default 8")
    parser.add_argument("--images", type=int, default=200, metavar="N", help="drawn; default 200")
    parser.add_argument("--side", type=int, default=640, metavar="PX", help="of the pictures; default 640")
    parser.add_argument("--cpu", action="store_true", help="try the script out without a card")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    until = time.monotonic() + 60 * arguments.minutes
    machine = this_machine()
    if not machine.cards and not arguments.cpu:
        print("error: no NVIDIA card here (nvidia-smi lists none); --cpu tries the script out", file=sys.stderr)
        return 2
    device = "cpu" if arguments.cpu else "cuda"
    card = Card(f"the CPU ({machine.cpu})", 1 << 40) if arguments.cpu else machine.cards[0]
    print(f"{card.name}, {card.memory_bytes / 2**30:.0f} GiB, {machine.num_cores} cores", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_demo_dataset(folder / "set", train=arguments.images, valid=8, test=8, image_size_px=arguments.side)
        dataset = load_dataset(folder / "set", folder / "converted")
        settings = ["MODEL.WEIGHTS=''", "SOLVER.BASE_LR=1e-12", *arguments.settings]
        trial = trial_of(dataset, folder, arguments.config, settings)
        workers = min(4, max(0, machine.num_cores - 1))
        batch = trial.config["SOLVER.IMS_PER_BATCH"]
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            stock = alone.submit(stock_rate, trial, dataset, folder, workers, device, arguments.seconds).result()
        print(f"one stock trial: {stock:.1f} images/s", flush=True)
        context = RunContext(dataset.paths, device=device, loader_workers=workers, lean=arguments.cpu)  # the defaults
        rates: dict[int, float] = {}
        memory, count = 1, 1
        # Half of the time is for the table of settings.
        while count <= arguments.most and (not rates or time.monotonic() < until - 30 * arguments.minutes):
            job = ProbeJob(trial, context, card.name, folder / "log.txt", count, arguments.seconds)
            try:
                found = run_together(job)
            except ProbeError as error:
                print(f"{count} of ours together: {error}", file=sys.stderr)
                break
            if count == 1:  # later the card holds the others, too, which a process cannot tell from its own
                memory = max(measured.memory_bytes for measured in found)
            rates[count] = sum(batch / measured.step_s for measured in found)
            print(
                f"{count} of ours together: {rates[count]:.1f} images/s, {rates[count] / stock:.2f} times the stock "
                f"trial, {memory / 2**30:.1f} GiB each",
                flush=True,
            )
            following = next_count(rates, memory, card, machine.num_cores)
            if following is None:
                break
            count = following
        place = Place(dataset, folder, arguments.config, tuple(settings), workers, device, arguments.seconds)
        largest = max(trial.config["INPUT.MIN_SIZE_TRAIN"])
        found = []
        for rate in itertools.chain(gpu_items.rates(place, largest, until), sharing_rates(place, card, until)):
            found.append(rate)
            print(f"{rate.item.name}: {rate.problem or f'{rate.images_per_s:.1f} images/s'}", flush=True)
    if not rates:
        return 1
    best = best_count(rates)
    print(f"packing chooses {best} on {card.name}: {rates[best] / stock:.2f} times one stock trial (goal: 3)")
    print(f"one trial with one setting changed; the first is {rates[1] / stock:.2f} times stock by the probe above:")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
