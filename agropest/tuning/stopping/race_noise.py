"""What a race takes another seed to do before its own seeds say so: decided when it begins, and kept.

    results/<sweep>/race_noise.json    and a copy beside it

Kept, because other sweeps of the store continue meanwhile: after the driver was killed, the race must continue as it
began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from agropest.statistics.race.entrant import Sample
from agropest.statistics.race.training_noise import NoiseVariance, assumed_seed_noise, seen_over_seeds
from agropest.store.checksummed import read_either, write_twice
from agropest.store.seeds.borrowed_seeds import borrowed_trials
from agropest.store.seeds.stored_samples import StoredSamples
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

FILE = "race_noise.json"


def seed_noise_at_start(spec: SweepSpec, trials: Sequence[TrialSpec], samples: StoredSamples) -> NoiseVariance:
    """Returns the variance of a seed, as it was kept when the sweep's race began; else estimates and keeps it.

    Args:
        trials: of the whole sweep.
        samples: of the sweep's metric.
    """
    path = samples.store.sweep_folder(spec.name) / FILE
    base = next((trial for trial in trials if trial.label == spec.baseline), trials[0])
    # Trainings are borrowed from sweeps with this baseline: its config, weights and code, whatever the seed.
    identity = replace(base, seed=0, config={**base.config, "SEED": 0}).signature
    asked = {"metric": spec.metric, "data": base.data, "baseline": identity, "assumed_sd": spec.stop.seed_noise}
    kept = read_either(path, (*asked, "variance", "freedom", "source"))
    if kept is not None and asked.items() <= kept.items():
        return NoiseVariance(float(kept["variance"]), float(kept["freedom"]), str(kept["source"]))
    noise = _estimated(spec, trials, samples)
    write_twice(path, {**asked, **asdict(noise)})
    return noise


def _estimated(spec: SweepSpec, trials: Sequence[TrialSpec], samples: StoredSamples) -> NoiseVariance:
    assumed = assumed_seed_noise(spec.stop.seed_noise)
    own = {trial.signature for trial in trials}
    means, num_trainings = [], 0
    for variant in borrowed_trials(trials, samples.store, spec.baseline).values():
        whole = [trial for trial in variant if trial.signature not in own and _has_end(trial, samples)]
        if len(whole) > 1:
            means.append(Sample.mean([samples.of(trial, trial.max_iter) for trial in whole]))
            num_trainings += len(whole)
    return assumed.updated(seen_over_seeds(means), f"from {num_trainings} finished trainings of other sweeps")


def _has_end(trial: TrialSpec, samples: StoredSamples) -> bool:
    records = samples.store.folder(trial).read_evaluations("valid", check_boxes=True)
    return any(record.iteration == trial.max_iter for record in records)
