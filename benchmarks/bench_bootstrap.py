"""Paired bootstrap of two detectors against hotcoco run anew on every resample, side by side.

    python -m benchmarks.bench_bootstrap [--images 546] [--resamples 10000] [--peer-resamples 20]

Draws a split of AgroPest-12's size and two detectors. Ours: matching once, then all resamples, of both detectors. The
peer: hotcoco's evaluate and accumulate on the duplicated image set, for as many resamples as asked, per detector; only
its evaluation is timed, not the making of the set. Both give the same AP on every one of these (printed: largest
difference). Prints milliseconds of one resample of one detector, wall and CPU, their ratio, and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from hotcoco import COCO, COCOeval

from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.accuracy.metric import Basis
from agropest.statistics.bootstrap import draws, replicate
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import ALL, match, read_targets
from benchmarks.synthetic import draw_detector, draw_split


def duplicated(truth: GroundTruth, boxes: Boxes, counts: np.ndarray) -> tuple[dict[str, object], np.ndarray]:
    """Returns the set in which image i stands ``counts[i]`` times, as COCO's dictionary and results array."""
    copies = np.repeat(np.arange(len(counts)), counts)
    by_image: dict[int, list[dict[str, object]]] = {}
    for annotation in truth.annotations:
        by_image.setdefault(annotation["image_id"], []).append(dict(annotation))
    annotations: list[dict[str, object]] = []
    rows = []
    for number, source in enumerate(copies.tolist(), start=1):
        for one in by_image.get(source + 1, []):
            annotations.append({**one, "image_id": number, "id": len(annotations) + 1})
        mine = boxes.where(boxes.image_id == source + 1)
        columns = [np.full((len(mine), 1), number), mine.bbox_xywh, mine.score[:, None], mine.category_id[:, None]]
        rows.append(np.concatenate(columns, axis=1, dtype=np.float64))
    images = [{"id": number} for number in range(1, len(copies) + 1)]
    categories = [dict(category) for category in truth.categories]
    return {"images": images, "categories": categories, "annotations": annotations}, np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=546)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--peer-resamples", type=int, default=20)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    truth = draw_split(random, arguments.images)
    detectors = [draw_detector(np.random.default_rng(seed), truth) for seed in (1, 2)]
    numbers = ", ".join(str(len(boxes)) for boxes in detectors)
    print(f"{arguments.images} images, {len(truth.annotations)} objects, two detectors of {numbers} boxes", flush=True)

    wall, cpu = time.perf_counter(), time.process_time()
    targets = read_targets(truth)
    found = [replicate(match(targets, boxes, 100, [ALL]), Basis(), arguments.resamples) for boxes in detectors]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    times = len(detectors) * arguments.resamples
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"agropest: {arguments.resamples} resamples of both in {wall:.1f} s (CPU {cpu:.1f} s), peak {peak:.2f} GiB")
    ours = wall / times * 1000, cpu / times * 1000

    counts = np.concatenate(draws(targets.num_groups, arguments.resamples, 0))[: arguments.peer_resamples]
    worst, wall, cpu = 0.0, 0.0, 0.0
    for boxes, one in zip(detectors, found, strict=True):
        samples = one.of(AP)[1]
        for number, row in enumerate(counts):
            content, results = duplicated(truth, boxes, row)
            started, cpu_started = time.perf_counter(), time.process_time()
            reference = COCO(content)
            evaluation = COCOeval(reference, reference.loadRes(results), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            wall, cpu = wall + time.perf_counter() - started, cpu + time.process_time() - cpu_started
            precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
            worst = max(worst, abs(float(precision[precision > -1].mean()) * 100 - samples[number]))
    peer_times = len(detectors) * len(counts)
    theirs = wall / peer_times * 1000, cpu / peer_times * 1000
    print(f"one resample of one detector: agropest {ours[0]:.3f} ms (CPU {ours[1]:.3f}),", end=" ")
    ratio = theirs[0] / ours[0], theirs[1] / ours[1]
    print(f"hotcoco {theirs[0]:.1f} ms (CPU {theirs[1]:.1f}): {ratio[0]:.0f} times, CPU {ratio[1]:.0f}")
    print(f"largest difference of AP between the two: {worst:.1e} percent (replicates are kept as 32-bit floats)")


if __name__ == "__main__":
    main()
