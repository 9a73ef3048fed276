"""A model folder: what a person takes away from a sweep, and all that prediction needs.

OUT/model.pth      weights as Detectron2's checkpointer reads them
OUT/config.yaml    the config that stock Detectron2 merges
OUT/model.json     classes, score threshold, figures with intervals, where the model comes from
OUT/README.md      what it is, and the lines that predict
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode

from agropest import files, plain_yaml
from agropest.deployment.config import WEIGHTS, DeployedConfig, merged
from agropest.deployment.weights import sha256
from agropest.errors import StoreError, fault
from agropest.sweep.detectron2_keys import flatten, nest

FORMAT = 1
CONFIG, CARD, README = "config.yaml", "model.json", "README.md"
REMAKE = "write the model folder again: python -m agropest model SWEEP OUT"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model.

    Attributes:
        name: sweep, variant and seed.
        categories: COCO category id and name of each class, in the order of the model's classes.
        score_threshold: that predictions are shown from.
        evaluated_threshold: lowest score of the boxes behind the figures.
        metric: of the sweep, that ``figures`` are of.
        figures: split to ``value``, ``low`` and ``high`` in percent; the interval is of image sampling alone.
        metrics: split to everything that was stored of that evaluation.
        origin: sweep, trial, iteration, status, data, versions.
        needs_code: names of the config that only this project registers.
        needs_keys: whether the config has keys of this project.
        weights_sha256: of ``model.pth``.
        checked: what was compared with the stored boxes, in words; empty where nothing was.
    """

    name: str
    categories: tuple[Mapping[str, Any], ...]
    score_threshold: float
    evaluated_threshold: float
    metric: str
    figures: Mapping[str, Mapping[str, float | None]]
    metrics: Mapping[str, Mapping[str, float | None]]
    origin: Mapping[str, Any]
    weights_sha256: str
    needs_code: tuple[str, ...] = ()
    needs_keys: bool = False
    checked: str = ""
    exports: Mapping[str, str] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the model's classes."""
        return tuple(str(one["name"]) for one in self.categories)


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that was written whole."""

    path: Path
    card: ModelCard

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.path / WEIGHTS

    def config(self, device: str = "cpu") -> CfgNode:
        """Returns ``config.yaml`` as Detectron2 takes it.

        Raises:
            StoreError: it is missing or not such a config.
        """
        place = self.path / CONFIG
        try:
            keys = flatten(plain_yaml.load(place.read_text(encoding="utf-8")))
            return merged(DeployedConfig(keys, self.card.needs_code, self.card.needs_keys), device)
        except (OSError, yaml.YAMLError, ValueError, KeyError, AttributeError, AssertionError) as error:
            value = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(fault(str(place), "expected a Detectron2 config", value, REMAKE)) from None


def write_config(path: Path, config: DeployedConfig) -> None:
    """Writes ``config.yaml``."""
    text = yaml.safe_dump(nest(config.keys), sort_keys=True, allow_unicode=True)
    files.write_text(path / CONFIG, text)


def write_card(path: Path, card: ModelCard) -> None:
    """Writes ``model.json``."""
    files.write_json(path / CARD, {"format": FORMAT, **asdict(card)})


def read_model_folder(path: Path) -> ModelFolder:
    """Returns a model folder whose weights are those that were written.

    Raises:
        StoreError: it is none, or the weights were changed.
    """
    place = Path(path) / CARD
    try:
        content = files.read_json(place)
        if content.pop("format") != FORMAT:
            raise StoreError(fault(str(place), f"expected format {FORMAT}", "another", REMAKE))
        lists = {name: tuple(content[name]) for name in ("categories", "needs_code")}
        folder = ModelFolder(Path(path), ModelCard(**{**content, **lists}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, StoreError):
            raise
        value = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        sweep = path if (Path(path) / "sweep.json").is_file() else "SWEEP"
        fix = f"python -m agropest model {sweep} OUT writes one"
        raise StoreError(fault(str(path), "expected a model folder (model.json in it)", value, fix)) from None
    if not folder.weights.is_file() or sha256(folder.weights) != folder.card.weights_sha256:
        raise StoreError(fault(str(folder.weights), "expected the weights that model.json names", "others", REMAKE))
    return folder
