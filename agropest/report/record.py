"""The training record of a sweep: configuration, what changed, results, per-class changes, observations; Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.durations import duration
from agropest.report.columns.column import RECORD
from agropest.report.columns.trials import METRICS
from agropest.report.columns.variants import VARIANT_COLUMNS, variant_rows, variant_words
from agropest.report.columns.writing import text_table
from agropest.report.markdown import code, plain, table
from agropest.report.observations import class_counts, observations
from agropest.report.tables.changes import config_changes, in_words
from agropest.report.tables.cost import SweepCost
from agropest.report.verdicts import estimate_text, interval_text, number, remarks, signed
from agropest.store.sweep_record import SweepRecord
from agropest.sweep.frameworks.command import COMPARED, is_command

# What a reader wants to know of a run first; the whole configuration is in the trial's folder.
CONFIGURATION = (
    "MODEL.META_ARCHITECTURE",
    "MODEL.BACKBONE.NAME",
    "MODEL.RESNETS.DEPTH",
    "MODEL.WEIGHTS",
    "MODEL.ANCHOR_GENERATOR.SIZES",
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS",
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
    "MODEL.ROI_BOX_HEAD.CLS_LOSS",
    "INPUT.MIN_SIZE_TRAIN",
    "INPUT.MAX_SIZE_TRAIN",
    "INPUT.MIN_SIZE_TEST",
    "INPUT.RANDOM_FLIP",
    "DATALOADER.SAMPLER_TRAIN",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.BASE_LR",
    "SOLVER.LR_SCHEDULER_NAME",
    "SOLVER.STEPS",
    "SOLVER.GAMMA",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.WARMUP_FACTOR",
    "SOLVER.MOMENTUM",
    "SOLVER.WEIGHT_DECAY",
    "SOLVER.MAX_ITER",
    "TEST.EVAL_PERIOD",
    "TEST.DETECTIONS_PER_IMAGE",
    "TEST.DEPLOYED_SCORE_THRESH",
    "TEST.AUG.ENABLED",
)


def training_record(record: SweepRecord, comparison: Comparison, trials: Sequence[RankedTrial], cost: SweepCost) -> str:
    """Returns the record as Markdown; names of classes, variants and keys are shown as they are."""
    parts = [
        f"# {plain(record.title)}",
        plain(comparison.sentence),
        _facts(record, cost),
        "## Ranking",
        _ranking(comparison, trials),
        "\n".join(f"- {plain(line)}" for line in remarks(comparison)),
        f"## Configuration of {plain(record.baseline)}",
        _configuration(record),
    ]
    for variant in comparison.variants:
        own = [trial for trial in trials if trial.label == variant.label]
        parts += _variant(record, variant, comparison, own)
    return "\n\n".join(part for part in parts if part) + "\n"


def _ranking(comparison: Comparison, trials: Sequence[RankedTrial]) -> str:
    rows, words = variant_rows(comparison, trials), variant_words(comparison)
    content = text_table(VARIANT_COLUMNS, rows, RECORD, words)
    return table(content.headings, content.rows) if rows else "(no trials)"


def _facts(record: SweepRecord, cost: SweepCost) -> str:
    splits = ", ".join(f"{s.num_images} {name} images with {s.num_boxes} boxes" for name, s in record.splits.items())
    saved = f"; early stopping saved {cost.saved_iters} iterations" if cost.saved_iters else ""
    lines = [
        f"Sweep {record.name}, launched {record.launched}, metric {record.metric}.",
        f"Data {record.data_name}: {len(record.class_names)} classes, {splits}.",
        f"{duration(cost.time_s)} of trial time, {cost.iterations} iterations{saved}.",
        cost.forecast,
        ", ".join(f"{name} {value}" for name, value in record.environment.items()),
    ]
    return "\n".join(f"- {plain(line)}" for line in lines if line)


def _configuration(record: SweepRecord) -> str:
    config: Mapping[str, object] = next((t.config for t in record.trials if t.label == record.baseline), {})
    lines = ["| key | value |", "|---|---|"]
    keys = COMPARED if is_command(config) else CONFIGURATION
    lines += [f"| {code(key)} | {code(in_words(config[key]))} |" for key in keys if key in config]
    return "\n".join(lines)


def _variant(
    record: SweepRecord, variant: ComparedVariant, comparison: Comparison, trials: Sequence[RankedTrial]
) -> list[str]:
    changes = [change for change in config_changes(record.trials, record.baseline) if change.label == variant.label]
    changed = "Nothing: it is the baseline." if variant.label == record.baseline else "Nothing."
    if changes:
        lines = [f"| {code(c.key)} | {code(c.before) if c.before else '-'} | {code(c.after)} |" for c in changes]
        changed = "\n".join([f"| key | {plain(record.baseline)} | here |", "|---|---|---|", *lines])
    parts = [
        f"## {plain(variant.label)}",
        "### What changed",
        changed,
        "### Results",
        _results(trials),
        _places(trials),
    ]
    seeds = "one seed" if len(variant.seeds) == 1 else f"{len(variant.seeds)} seeds"
    mean = f"Validation {comparison.metric} over {seeds}: {estimate_text(variant.estimate)}."
    parts.append(plain(mean) if variant.seeds else "")
    if variant.per_class:
        counts = class_counts(variant)
        head = f"{counts.improved} improved, {counts.degraded} degraded, {counts.equal} equal (AP on validation)."
        rows = [[name, signed(one.value), interval_text(one.interval, True)] for name, one in variant.per_class.items()]
        parts += ["### Classes", head, table(["class", "change", "95 %"], rows)]
    observed = "\n".join(f"- {plain(line)}" for line in observations(variant, comparison, trials))
    return [*parts, "### Observations", observed]


def _places(trials: Sequence[RankedTrial]) -> str:
    """Returns where the trials are, and their chosen checkpoints, relative to the results folder."""
    lines = [
        f"- seed {one.seed}: {code(one.folder)}" + (f", checkpoint {code(one.checkpoint)}" if one.checkpoint else "")
        for one in trials
        if one.folder
    ]
    return "\n".join(lines)


def _results(trials: Sequence[RankedTrial]) -> str:
    headings = ["seed", "split", "status", "iteration", *METRICS, "time"]
    rows = [
        [
            str(trial.seed),
            split,
            trial.status,
            str(trial.val_iteration or trial.iteration),
            *(number(metrics[name]) if name in metrics else "-" for name in METRICS),
            f"{trial.time_s:.0f} s",
        ]
        for trial in trials
        for split, metrics in (("validation", trial.valid), ("test", trial.test))
        if metrics or split == "validation"
    ]
    return table(headings, rows)
