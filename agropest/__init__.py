"""Sweeps of Detectron2 object detectors, and what can be said of them afterwards.

The rooms, in the order the data flows. A module imports only from rooms above its own (and from ``errors`` and
``files``); ``tests/test_architecture.py`` holds that.

``data``      a YOLO or COCO folder becomes checked COCO JSON per split, statistics, the drawn demo set
``modeling``  what Detectron2 lacks: config keys, losses, backbones         (torch; ``config`` alone is light)
``sweep``     a sweep YAML becomes trials with signatures; lint; forecast   (no torch, no ray)
``statistics``  boxes become AP, intervals, verdicts, the race              (no torch, no ray, no files of trials)
``results``   the store of trials; their ranking and comparison             (no torch, no ray)
``training``  one trial: batch stream, trainer, evaluation, checkpoints                    (torch, no ray)
``tuning``    Ray Tune: schedule, pack, stop, retry, progress                              (ray)
``report``    rows become CSV, Markdown, LaTeX, JSON, PNG and one HTML page                (no torch, no ray)
``commands``  ``python -m agropest COMMAND``; ``launch.py`` beside this package runs a sweep

``results`` stands before ``training`` because a trial writes what ``results.store`` defines, and ``tuning`` stops
trials by what ``statistics`` can tell from the stored boxes.
"""

__version__ = "0.1.0"
