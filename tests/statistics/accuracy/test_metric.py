"""Which metrics there are, and what the composed ones are."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.errors import SweepFileError
from agropest.statistics.accuracy.metric import metric_value, reduce_classes, require_metric


@pytest.mark.parametrize(
    "metric", ["AP", "APs", "AR10", "AP_worst", "F1_deployed", "AP-class 1", "AP-b, c", "AP-class 1, AP-d"]
)
def test_metrics_that_there_are(metric: str) -> None:
    require_metric(metric, ["class 1", "b, c", "d"], "a.yaml: metric")


@pytest.mark.parametrize(
    ("metric", "meant"), [("AP_75", "AP75"), ("AP-Antz", "AP-Ants"), ("AP-Ants,AP-Beas", "AP-Bees"), ("F1", "APl")]
)
def test_a_metric_that_there_is_not(metric: str, meant: str) -> None:
    with pytest.raises(SweepFileError, match=rf"a.yaml: metric: .*got '{metric}'.*{meant}"):
        require_metric(metric, ["Ants", "Bees"], "a.yaml: metric")


def test_worst_and_chosen_classes() -> None:
    """A class without ground truth (NaN, None) neither is the worst nor counts in a mean; 0.0 is a value."""
    by_class = np.array([[10.0, np.nan], [30.0, np.nan], [np.nan, 0.0]])
    names = ["a", "b", "c"]
    assert reduce_classes("AP", by_class, names).tolist() == [20.0, 0.0]
    assert reduce_classes("AP_worst", by_class, names).tolist() == [10.0, 0.0]
    np.testing.assert_array_equal(reduce_classes("AP-b,AP-c", by_class, names), [30.0, 0.0])
    np.testing.assert_array_equal(reduce_classes("AP-a", by_class, names), [10.0, np.nan])
    stored = {"AP": 20.0, "AP-a": 10.0, "AP-b": 30.0, "AP-c": None}
    assert metric_value(stored, "AP") == 20.0
    assert metric_value(stored, "AP_worst") == 10.0
    assert metric_value(stored, "AP-b,AP-c") == 30.0
    assert metric_value(stored, "AP-c") is None
    assert metric_value(stored, "F1_deployed") is None
