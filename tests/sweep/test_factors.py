from __future__ import annotations

from agropest.sweep.factors import LONGEST_LABEL, combine, label_of

LONG = {f"{word}_of_the_whole_training": {"A": word} for word in ("anchors", "anchor_ratios", "loss", "sampler")}


def test_a_label_is_the_factors_where_they_fit() -> None:
    assert label_of((), ["a"]) == "baseline"
    assert label_of(("loss", "sampler"), ["loss", "sampler"]) == "loss+sampler"
    fits = ("a" * 40, "b" * 39)
    assert label_of(fits, fits) == "a" * 40 + "+" + "b" * 39


def test_a_label_that_is_too_long_has_the_beginnings_that_tell_the_factors_apart() -> None:
    names = list(LONG)
    assert label_of(names, names) == "anchors+anchor_+los+sam"
    assert label_of(names[:2], names) == "+".join(names[:2])  # 53 letters: as it is


def test_a_factor_that_begins_as_another_is_called_keeps_its_name() -> None:
    names = ["decay", "decay_of_biases", *(f"{letter}" * 30 for letter in "abc")]
    assert label_of(names, names) == "decay+decay_+aaa+bbb+ccc"


def test_beginnings_that_are_too_long_end_with_a_digest() -> None:
    names = [f"{'x' * 60}{number}" for number in range(3)]
    labels = {label_of(chosen, names) for chosen in (names[:2], names[1:], names, [names[0], names[2]])}
    assert len(labels) == 4
    assert all(len(label) <= LONGEST_LABEL for label in labels)
    assert label_of(names, names) == label_of(list(names), names)


def test_every_combination_of_a_full_design_has_a_label_of_its_own() -> None:
    found = [name for name, _, _ in combine(LONG, "full")]
    assert len(found) == len(set(found)) == 16
    assert max(map(len, found)) <= LONGEST_LABEL
