"""Python imports this at its start where ``benchmarks/trivial`` is on PYTHONPATH: trials then train nothing.

Only ``agropest.training.trial`` is replaced (by ``trivial_trial.py`` beside this file); launch.py, Ray Tune, the relay,
the forked processes, the claims and the store are what they always are.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


class TrivialTrial(importlib.abc.MetaPathFinder):
    """Finds the trivial trial in the real one's place."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        if name != "agropest.training.trial":
            return None
        return importlib.util.spec_from_file_location(name, Path(__file__).with_name("trivial_trial.py"))


sys.meta_path.insert(0, TrivialTrial())
