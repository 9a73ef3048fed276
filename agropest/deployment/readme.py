"""The README of a model folder: what the model is, what it reaches, and the lines that predict."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.deployment.config import WEIGHTS
from agropest.deployment.model_folder import ModelCard

PILLOW = "PIL.Image.LINEAR = PIL.Image.BILINEAR  # Detectron2 0.6 asks for a name that Pillow 10 removed"


def prediction_lines(card: ModelCard) -> list[str]:
    """Returns the Python that predicts with Detectron2's ``DefaultPredictor``, run in the model folder."""
    lines = ["import PIL.Image", "", PILLOW]
    if card.needs_code:
        lines.append(f"import agropest.modeling.build  # registers {', '.join(card.needs_code)}")
    if card.needs_keys:
        lines.append("from agropest.modeling.config import add_agropest_config")
    lines += [
        "from detectron2.config import get_cfg",
        "from detectron2.data.detection_utils import read_image",
        "from detectron2.engine import DefaultPredictor",
        "",
        "cfg = get_cfg()",
    ]
    if card.needs_keys:
        lines.append("add_agropest_config(cfg)")
    return [
        *lines,
        'cfg.merge_from_file("config.yaml")',
        'cfg.MODEL.DEVICE = "cpu"  # or "cuda"',
        'found = DefaultPredictor(cfg)(read_image("picture.jpg", "BGR"))["instances"]',
        f"found = found[found.scores >= {card.score_threshold:g}]  # pred_boxes, scores, pred_classes",
    ]


def readme(card: ModelCard) -> str:
    """Returns the README."""
    origin = card.origin
    parts = [
        f"# {card.name}",
        f"Detectron2 detector of {len(card.categories)} classes: {', '.join(card.class_names)}.",
        *_figures(card),
        f"Trained by the sweep `{origin['sweep']}`: the checkpoint of iteration {origin['iteration']} of a trial that "
        f"is {origin['status']}.",
        "## Predict",
        "    python -m agropest predict THIS_FOLDER PICTURES",
        "Or with Detectron2's own predictor, in this folder:",
        "\n".join(f"    {line}".rstrip() for line in prediction_lines(card)),
        *_needs(card),
        f"Figures are of all boxes that score {card.evaluated_threshold:g} or more; predictions are shown from "
        f"{card.score_threshold:g} on.",
    ]
    if card.checked:
        parts.append(f"Checked when this folder was written: {card.checked}.")
    if card.exports:
        parts += ["## Exported graphs", *(f"- `{name}`: {outcome}" for name, outcome in card.exports.items())]
    parts += ["## Files", f"- `{WEIGHTS}`: weights alone, {card.weights_sha256[:12]}... (SHA-256)", *_FILES]
    return "\n\n".join(parts[:1] + _joined(parts[1:])) + "\n"


_FILES = (
    "- `config.yaml`: merged by Detectron2's `cfg.merge_from_file`",
    "- `model.json`: classes, threshold, all stored metrics, origin",
)


def _figures(card: ModelCard) -> list[str]:
    lines = [f"| split | {card.metric} [95 %] | AP50 | AP at score {card.score_threshold:g} |", "|---|---|---|---|"]
    for split, figure in card.figures.items():
        metrics = card.metrics.get(split, {})
        lines.append(
            f"| {split} | {_number(figure['value'])} [{_number(figure['low'])}, {_number(figure['high'])}] "
            f"| {_number(metrics.get('AP50'))} | {_number(metrics.get('AP_deployed'))} |"
        )
    note = "Percent. Validation chose this checkpoint, so that its figure is a little too high; test did not. "
    note += "The interval is of image sampling alone: the same training with another seed may lie outside it."
    return ["\n".join(lines), note]


def _needs(card: ModelCard) -> list[str]:
    if not card.needs_code and not card.needs_keys:
        return []
    names = ", ".join(card.needs_code) or "keys of the config"
    return [
        f"This model needs the package `agropest` (its folder on PYTHONPATH) for {names}; stock Detectron2 has none."
    ]


def _joined(parts: Sequence[str]) -> list[str]:
    """Returns the parts with list items that follow each other as one part."""
    joined: list[str] = []
    for part in parts:
        if joined and part.startswith("- ") and joined[-1].startswith("- "):
            joined[-1] += f"\n{part}"
        else:
            joined.append(part)
    return joined


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
