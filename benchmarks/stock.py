"""The named peer: stock Detectron2, ``DefaultTrainer`` with its own loader and ``COCOEvaluator``.

    python -m benchmarks.stock CONFIG.yaml DATA.json OUTPUT      one training from start to the test evaluation

What stock Detectron2 cannot build (the demo's narrow backbone, the focal losses) comes from ``agropest.modeling``; the
loop, the loader, hooks, checkpoints and evaluation are Detectron2's.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

import torch

from agropest.modeling.build import build
from agropest.modeling.config import add_agropest_config

# isort: split
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator


class StockTrainer(DefaultTrainer):
    """``DefaultTrainer`` as its documentation says to use it: an evaluator is named, nothing else is changed."""

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        return build(cfg).to(cfg.MODEL.DEVICE)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> COCOEvaluator:
        return coco_evaluator(dataset_name, Path(cfg.OUTPUT_DIR, "inference"))


def coco_evaluator(dataset_name: str, output: Path) -> COCOEvaluator:
    """Returns ``COCOEvaluator``: with Detectron2's C++ evaluation where it is built, else with pycocotools."""
    extension = importlib.util.find_spec("detectron2._C")
    is_compiled = extension is not None and str(extension.origin).endswith(".so")
    return COCOEvaluator(dataset_name, tasks=("bbox",), output_dir=str(output), use_fast_impl=is_compiled)


def stock_config(config: CfgNode, output: Path) -> CfgNode:
    """Returns a trial's config with the data sets named as :func:`register` names them."""
    cfg = config.clone()
    cfg.defrost()
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST, cfg.OUTPUT_DIR = ("stock_train",), ("stock_valid",), str(output)
    cfg.freeze()
    return cfg


def register(splits: dict[str, tuple[str, str]]) -> None:
    """Registers each split (its COCO JSON and image folder) as ``stock_<split>``."""
    for name, (json_file, images) in splits.items():
        if f"stock_{name}" not in DatasetCatalog.list():
            register_coco_instances(f"stock_{name}", {}, json_file, images)
            DatasetCatalog.get(f"stock_{name}")  # reads the category ids, which the evaluator needs


def train(config: Path, splits: dict[str, Any], output: Path) -> None:
    """Trains, evaluating validation as the config says, and evaluates the test split at the end."""
    cfg = get_cfg()
    add_agropest_config(cfg)
    cfg.merge_from_file(str(config))
    register(splits)
    cfg = stock_config(cfg, output)
    output.mkdir(parents=True, exist_ok=True)
    trainer = StockTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    test = cfg.clone()
    test.defrost()
    test.DATASETS.TEST = ("stock_test",)
    StockTrainer.test(test, trainer.model)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    train(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]))
