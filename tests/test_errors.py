from __future__ import annotations

import sys

import pytest

from agropest import errors


def test_a_fault_says_where_rule_value_and_fix() -> None:
    line = errors.fault("a.yaml: seeds", "expected numbers", "x", "write [42]")
    assert line == "a.yaml: seeds: expected numbers, got 'x'; write [42]"


def test_long_values_are_cut() -> None:
    assert len(errors.fault("w", "r", "x" * 1000, "f")) < 200


def test_nearest_names_the_likely_word() -> None:
    assert errors.nearest("SOLVER.BASE_LP", ["SOLVER.BASE_LR", "SOLVER.STEPS"]) == "did you mean 'SOLVER.BASE_LR'?"
    assert errors.nearest("BASE_LR", ["SOLVER.BASE_LR", "SEED"]) == "did you mean 'SOLVER.BASE_LR'?"
    assert errors.nearest("zzz", ["a", "b"]) == "known here: a, b"


def test_a_missing_package_is_the_environments_fault_and_a_missing_module_ours() -> None:
    told = str(errors.missing_package(ModuleNotFoundError("No module named 'rich.table'", name="rich.table")))
    assert sys.executable in told
    assert "got 'no rich'" in told
    assert ".venv/bin/activate" in told
    with pytest.raises(ModuleNotFoundError):
        errors.missing_package(ModuleNotFoundError("No module named 'agropest.x'", name="agropest.x"))


def test_an_error_prints_every_fault_on_its_line() -> None:
    for kind in (
        errors.SweepFileError,
        errors.DataError,
        errors.StoreError,
        errors.EnvironmentFault,
        errors.TrialError,
    ):
        assert str(kind("one", "two")) == "one\ntwo"
        assert issubclass(kind, errors.AgropestError)


def test_too_little_gpu_memory_is_told_in_several_ways() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    assert errors.is_out_of_gpu_memory(OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert errors.is_out_of_gpu_memory(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"))
    assert errors.is_out_of_gpu_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`"))
    assert not errors.is_out_of_gpu_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not errors.is_out_of_gpu_memory(ValueError("CUDA error: out of memory"))


def test_one_fault_of_several_is_said_once_with_their_names() -> None:
    faults = [("a", "no file"), ("b", "no file"), ("c", "too small"), ("c", "no file")]
    assert errors.named_once(faults, ["a", "b", "c"], "every variant") == ["every variant: no file", "c: too small"]
    assert errors.named_once(faults[:2], ["a", "b", "c"], "every variant") == ["a, b: no file"]
    assert errors.named_once([("a", "no file")], ["a"], "every variant") == ["a: no file"]
