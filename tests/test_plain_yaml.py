from __future__ import annotations

import datetime

import pytest
import yaml

from agropest import plain_yaml


def test_what_is_plain_is_read_and_aliases_may_be_used() -> None:
    text = "a: &a {x: 1, y: [1.5, true, null, word, 2026-11-23]}\nb: *a\nc: {<<: *a, x: 2}\n"
    content = plain_yaml.load(text)
    assert content["a"] == {"x": 1, "y": [1.5, True, None, "word", datetime.date(2026, 11, 23)]}
    assert content["b"] == content["a"]
    assert content["c"] == {**content["a"], "x": 2}
    assert plain_yaml.load("") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: {b: &x [1, *x]}", "a.b: it holds itself"),
        ("a: &x {<<: *x}", "a.<<: it holds itself"),
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("a: {? [b] : c}", "a: a key must be a word"),
        ("a: {b: !!set {c, d}}", "a.b: a tag, tag:yaml.org,2002:set"),
        ("a: !!binary aGk=", "a: a tag, tag:yaml.org,2002:binary"),
        ("a: !!python/object/apply:os.system ['true']", "a: a tag, tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: {b: " + "9" * 61 + "}", "a.b: a number of more than 60 digits"),
        ('a: {"b": "x\\0"}', "a.b: a character that no text holds"),
        ('"\\udfff": 1', "a character that no text holds"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_key(text: str, problem: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        plain_yaml.load(text)
    assert problem in str(caught.value.problem)


def test_values_count_as_often_as_they_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of three is four values; two of them and the list that holds them are nine."""
    text = "[&a [1, 2, 3], *a]"
    monkeypatch.setattr(plain_yaml, "MOST_VALUES", 9)
    assert plain_yaml.load(text) == [[1, 2, 3], [1, 2, 3]]
    monkeypatch.setattr(plain_yaml, "MOST_VALUES", 8)
    with pytest.raises(yaml.MarkedYAMLError, match="more than 8 values, aliases unfolded"):
        plain_yaml.load(text)
