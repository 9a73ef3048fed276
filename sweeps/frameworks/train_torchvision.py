"""A torchvision detector as a variant of a sweep: reads what docs/frameworks.md says it is told, writes COCO results.

python train_torchvision.py --model fcos --lr 0.005 --size 160

It needs torch, torchvision, numpy and Pillow, and nothing of this project: a start for a script of your own framework.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.models import resnet18
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet, retinanet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

OUTPUT = Path(os.environ["AGROPEST_OUTPUT"])
DEVICE = torch.device(os.environ["AGROPEST_DEVICE"])
SIZES = (12, 24, 48, 80, 120)  # of anchors, in pixels, a level each
FPN_CHANNELS = 64
TOP_N = {"rpn_pre_nms_top_n_train": 300, "rpn_post_nms_top_n_train": 200, "rpn_post_nms_top_n_test": 100}
KEPT_CHECKPOINTS = "checkpoint-*.pth"


class Split:
    """Pictures and boxes of a split: COCO, as the sweep converted them."""

    def __init__(self, name: str) -> None:
        content = json.loads(Path(os.environ[f"AGROPEST_{name}_ANNOTATIONS"]).read_text())
        self.folder = Path(os.environ[f"AGROPEST_{name}_IMAGES"])
        self.images: list[dict[str, Any]] = content["images"]
        self.category_ids = sorted(category["id"] for category in content["categories"])
        self.boxes: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in self.images}
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd", 0):
                self.boxes[annotation["image_id"]].append(annotation)

    @functools.cache  # noqa: B019 - small pictures, one split for the life of the process
    def picture(self, number: int) -> torch.Tensor:
        """Returns a picture, float [3, H, W] in [0, 1]."""
        with Image.open(self.folder / self.images[number]["file_name"]) as file:
            pixels = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255

    def target(self, number: int) -> dict[str, torch.Tensor]:
        """Returns the boxes as corners, and labels from 1: 0 is torchvision's background."""
        its = self.boxes[self.images[number]["id"]]
        boxes = torch.tensor([box["bbox"] for box in its], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([self.category_ids.index(box["category_id"]) + 1 for box in its], dtype=torch.int64)
        return {"boxes": boxes, "labels": labels}


def build(name: str, num_classes: int, size: int) -> torch.nn.Module:
    """Returns a detector with a ResNet-18 and FPN, group normalisation, random weights."""
    norm = functools.partial(torch.nn.GroupNorm, 32)
    stages = {f"layer{number + 1}": str(number) for number in range(4)}
    body, channels = resnet18(norm_layer=norm), [64, 128, 256, 512]
    backbone = BackboneWithFPN(body, stages, channels, FPN_CHANNELS, LastLevelMaxPool(), norm)
    scale = {"min_size": size, "max_size": 2 * size}
    if name == "fcos":
        return FCOS(backbone, num_classes + 1, head=None, anchor_generator=None, **scale)
    anchors = AnchorGenerator(tuple((side,) for side in SIZES), ((0.5, 1.0, 2.0),) * len(SIZES))
    if name == "retinanet":
        head = retinanet.RetinaNetHead(FPN_CHANNELS, 3, num_classes + 1, norm_layer=norm)
        return RetinaNet(backbone, num_classes + 1, anchor_generator=anchors, head=head, **scale)
    box_head = TwoMLPHead(FPN_CHANNELS * 7**2, 256)
    predictor = FastRCNNPredictor(256, num_classes + 1)
    return FasterRCNN(
        backbone, rpn_anchor_generator=anchors, box_head=box_head, box_predictor=predictor, **TOP_N, **scale
    )


def batches(split: Split, size: int, start: int, seed: int) -> Iterator[list[int]]:
    """Yields the pictures of batch ``start`` and all that follow: a function of the seed and the batch's number."""
    usable = [number for number, image in enumerate(split.images) if split.boxes[image["id"]]]
    number = start
    while True:
        places = range(number * size, (number + 1) * size)
        yield [usable[order(len(usable), seed, place // len(usable))[place % len(usable)]] for place in places]
        number += 1


@functools.lru_cache(maxsize=2)
def order(length: int, seed: int, epoch: int) -> list[int]:
    """Returns the pictures of an epoch in their order."""
    return np.random.default_rng([seed, epoch]).permutation(length).tolist()


def set_rate(optimizer: torch.optim.Optimizer, highest: float, iteration: int, end: int, warm_up: int = 30) -> None:
    """Sets the learning rate of an iteration: a warm-up, then half a cosine."""
    cosine = 0.5 * (1 + np.cos(np.pi * iteration / end))
    for group in optimizer.param_groups:
        group["lr"] = float(highest * cosine * min(1.0, (iteration + 1) / warm_up))


@torch.inference_mode()
def predict(model: torch.nn.Module, split: Split) -> list[dict[str, Any]]:
    """Returns the boxes of a split as COCO results."""
    model.eval()
    found = []
    for number, image in enumerate(split.images):
        (output,) = model([split.picture(number).to(DEVICE)])
        columns = (output[key].tolist() for key in ("boxes", "labels", "scores"))
        for (x0, y0, x1, y1), label, score in zip(*columns, strict=True):
            box = {"bbox": [x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)], "score": score}
            found.append({"image_id": image["id"], "category_id": split.category_ids[label - 1], **box})
    model.train()
    return found


def write(name: str, content: Any) -> None:
    """Writes JSON under another name and renames it, so that nobody reads half a file."""
    (OUTPUT / f".{name}").write_text(json.dumps(content))
    (OUTPUT / f".{name}").rename(OUTPUT / name)


def save(iteration: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Saves a checkpoint, then removes those that nobody will ask for."""
    path = OUTPUT / f"checkpoint-{iteration:08d}.pth"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)
    best = OUTPUT / "best.json"  # the sweep may ask for its weights again; others are not needed
    kept = {iteration, json.loads(best.read_text())["iteration"] if best.is_file() else iteration}
    for old in OUTPUT.glob(KEPT_CHECKPOINTS):
        if number_of(old) not in kept and number_of(old) < iteration:
            old.unlink()


def number_of(checkpoint: Path) -> int:
    """Returns the iteration of a checkpoint."""
    return int(checkpoint.stem.rpartition("-")[2])


def train(model: torch.nn.Module, arguments: argparse.Namespace) -> None:
    """Trains from the last usable checkpoint, and writes the results that are due."""
    end, seed = int(os.environ["AGROPEST_ITERATIONS"]), int(os.environ["AGROPEST_SEED"])
    due = [int(word) for word in os.environ["AGROPEST_EVALUATE_AT"].split(",")]
    train_split, valid = Split("TRAIN"), Split("VALID")
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=0.9, weight_decay=1e-4)
    # Results that are due again need weights from before them.
    usable = [path for path in sorted(OUTPUT.glob(KEPT_CHECKPOINTS)) if number_of(path) < due[0]]
    start = 0
    if usable:
        state = torch.load(usable[-1], map_location=DEVICE)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = number_of(usable[-1])
    asked_to_end = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.append(True))
    for iteration, chosen in enumerate(batches(train_split, arguments.batch, start, seed), start=start):
        if iteration == end:
            return
        if asked_to_end:
            save(iteration, model, optimizer)
            sys.exit(0)
        torch.manual_seed(seed * 1_000_003 + iteration)  # so that a continued training draws what a whole one does
        set_rate(optimizer, arguments.lr, iteration, end)
        targets = [{key: value.to(DEVICE) for key, value in train_split.target(number).items()} for number in chosen]
        losses = model([train_split.picture(number).to(DEVICE) for number in chosen], targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        done = iteration + 1
        if done % 10 == 0:
            write("progress.json", {"iteration": done})
        if done in due:
            save(done, model, optimizer)
            write(f"valid-{done:08d}.json", predict(model, valid))


def main() -> None:
    """Trains, or predicts a split."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=("fasterrcnn", "fcos", "retinanet"), required=True)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=160, help="shorter side of a picture, in pixels")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ["AGROPEST_THREADS"]))
    torch.manual_seed(int(os.environ["AGROPEST_SEED"]))
    model = build(arguments.model, int(os.environ["AGROPEST_NUM_CLASSES"]), arguments.size).to(DEVICE).train()
    if os.environ["AGROPEST_TASK"] == "train":
        train(model, arguments)
    else:
        name, iteration = os.environ["AGROPEST_SPLIT"], int(os.environ["AGROPEST_ITERATION"])
        model.load_state_dict(torch.load(OUTPUT / f"checkpoint-{iteration:08d}.pth", map_location=DEVICE)["model"])
        write(f"{name}-{iteration:08d}.json", predict(model, Split(name.upper())))


if __name__ == "__main__":
    main()
