"""Sweeps of Detectron2 object detectors, and what can be said of them afterwards.

The rooms, in the order the data flows. A module imports only from rooms above its own, and from the ground floor
(``errors``, ``files``, ``csv_text``, ``plain_yaml``, ``machine``, ``durations``, ``readable``,
``detectron2_ready``);
``tests/test_architecture.py`` holds that.

``data``        a YOLO or COCO folder becomes checked COCO JSON per split, statistics, the drawn demo set
``modeling``    what Detectron2 lacks: config keys, losses, backbones         (torch; ``config`` alone is light)
``sweep``       a sweep YAML becomes trials with signatures; lint             (no torch, no ray)
``statistics``  boxes become AP, intervals, verdicts, the race: pure functions of arrays   (no torch, no ray)
``store``       what trainings and evaluations leave on disk: records, folders, locks, checksums
``planning``    speeds, forecast, packing arithmetic, capacity
``analysis``    what the stored evaluations say: ranking, comparison, guards, live progress
``training``    one trial: batch stream, trainer, evaluation, checkpoints                  (torch, no ray)
``deployment``  a trained model outside its sweep: folder, predictions, graphs, cost         (torch, no ray)
``report``      rows become CSV, Markdown, LaTeX, JSON, PNG and one HTML page              (no torch, no ray)
``tuning``      Ray Tune: schedule, pack, stop, retry, progress                            (ray)
``commands``    one file for each command of the command line
"""

__version__ = "0.1.0"
